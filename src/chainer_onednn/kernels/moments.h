// Mean and variance of each channel, gathered block by block: deviations from the block's first
// number in float32, so that nothing cancels wherever the mean lies, and all the rest in double.
#ifndef CHAINER_ONEDNN_MOMENTS_H
#define CHAINER_ONEDNN_MOMENTS_H

#include "common.h"

// Numbers of a vector of channels: the first one; sums of the others' differences to it, and of the
// differences' squares.
typedef struct {
    vf first, sum, square;
} deviations;

// Moments of n_a and n_b numbers become those of all (Chan, Golub and LeVeque, 1983): their mean,
// and the sum of the squared deviations from it.
INLINE void merge(double n_a, double *mean_a, double *m2_a, double n_b, double mean_b, double m2_b) {
    double n = n_a + n_b, delta = mean_b - *mean_a;
    *mean_a += delta * (n_b / n);
    *m2_a += m2_b + delta * delta * (n_a * n_b / n);
}

// Merge the deviations of n numbers of each channel with the moments of those `before`.
INLINE void gather(const deviations *found, int vectors, double n, double before, double *mean,
                   double *m2) {
    double part = n / (before + n), both = before * part;
    for (int v = 0; v < vectors; v++) {
        float f[VL], s[VL], q[VL];
        store(f, found[v].first);
        store(s, found[v].sum);
        store(q, found[v].square);
        for (int l = 0; l < VL; l++) {
            double mean_here = f[l] + s[l] / n, m2_here = q[l] - s[l] * (double)s[l] / n;
            double delta = mean_here - mean[v * VL + l];
            mean[v * VL + l] += delta * part;
            m2[v * VL + l] += m2_here + delta * delta * both;
        }
    }
}

// The variance of n numbers; NaN stays.
INLINE float variance(double m2, double n) { return (float)(m2 > 0 ? m2 / n : m2 * 0); }

#endif
