// Channels-last memory seen as rows of one length, whatever the number of channels is.
//
// The memory of an image array is (N, H, W, C): after every C floats the same channels come again.
// A *row* is the least multiple of C floats that is whole vectors, and at least four of them; what
// belongs to a channel (mean, scale …) is repeated to the length of a row, so that the same loops
// serve 3, 16 and 52 channels. What is left behind the last whole row is the *rest*.
#ifndef CHAINER_ONEDNN_CHANNELS_H
#define CHAINER_ONEDNN_CHANNELS_H

#include "common.h"

typedef struct {
    int64_t channels, length;  // floats: of a pixel, of a row
    int64_t rows, rest;        // whole rows; floats behind them
} plane;

INLINE int64_t row_length(int64_t channels) {
    int64_t length = channels;
    while (length % VL) length += channels;
    while (length < 4 * VL) length *= 2;
    return length;
}

INLINE plane plane_of(int64_t pixels, int64_t channels) {
    int64_t length = row_length(channels), total = pixels * channels;
    return (plane){channels, length, total / length, total % length};
}

// A number a channel, repeated to the length of a row.
INLINE void repeat(const plane *p, const float *of_channel, float *row) {
    for (int64_t i = 0; i < p->length; i += p->channels)
        for (int64_t c = 0; c < p->channels; c++) row[i + c] = of_channel[c];
}

#endif
