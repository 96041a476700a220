// Winograd convolutions of R x R filters; winograd.c includes this once for each R.
#undef SIDE
#undef POINTS
#undef PAIRS
#define SIDE (OUT + R - 1)    // the inputs of a tile are SIDE x SIDE
#define POINTS (SIDE * SIDE)  // numbers of a transformed tile
#define PAIRS (SIDE / 2 - 1)  // of points: all but 0 and infinity

// ---- transforms of one row or column -----------------------------------------------------------

// The derivative at a point (of a pair; -1: at 0) of the polynomial whose roots are all the points.
INLINE double NAME(slope)(int pair) {
    double product = pair < 0 ? 1 : 2 * power(NAME(points)[pair], 2);
    UNROLL for (int i = 0; i < PAIRS; i++) {
        double square = power(NAME(points)[i], 2);
        if (pair < 0) product *= -square;
        else if (i != pair) product *= power(NAME(points)[pair], 2) - square;
    }
    return product;
}

// t = B' d. Order of points: 0, then p and -p of each pair, then infinity.
INLINE void NAME(transform_input)(const vf *d, vf *t) {
#if R == 3
    const double a = power(NAME(points)[0], 2), b = power(NAME(points)[1], 2);
    t[0] = (d[4] - (float)(a + b) * d[2]) + (float)(a * b) * d[0];
    t[5] = (d[5] - (float)(a + b) * d[3]) + (float)(a * b) * d[1];
    UNROLL for (int i = 0; i < 2; i++) {
        const float other = i ? a : b, p = NAME(points)[i];
        vf even = d[4] - other * d[2], odd = d[3] - other * d[1];
        t[1 + 2 * i] = even + p * odd;
        t[2 + 2 * i] = even - p * odd;
    }
#else
    const double a = power(NAME(points)[0], 2), b = power(NAME(points)[1], 2),
                 c = power(NAME(points)[2], 2);
    const float sum = a + b + c, sum2 = a * b + a * c + b * c, product = a * b * c;
    t[0] = (d[6] - sum * d[4]) + (sum2 * d[2] - product * d[0]);
    t[7] = (d[7] - sum * d[5]) + (sum2 * d[3] - product * d[1]);
    UNROLL for (int i = 0; i < 3; i++) {
        const double one = i == 0 ? b : a, two = i == 2 ? b : c;
        const float s = one + two, q = one * two, p = NAME(points)[i];
        vf even = (d[6] - s * d[4]) + q * d[2], odd = (d[5] - s * d[3]) + q * d[1];
        t[1 + 2 * i] = even + p * odd;
        t[2 + 2 * i] = even - p * odd;
    }
#endif
}

// y = A' m: the first n coefficients (OUT, or R for the gradient of filters) from the points.
INLINE void NAME(transform_back)(int n, const vf *m, vf *y) {
    vf sum[PAIRS], difference[PAIRS];
    UNROLL for (int p = 0; p < PAIRS; p++) {
        sum[p] = m[1 + 2 * p] + m[2 + 2 * p];
        difference[p] = m[1 + 2 * p] - m[2 + 2 * p];
    }
    UNROLL for (int i = 0; i < n; i++) {
        vf v = (float)power(NAME(points)[0], i) * (i % 2 ? difference[0] : sum[0]);
        UNROLL for (int p = 1; p < PAIRS; p++)
            v += (float)power(NAME(points)[p], i) * (i % 2 ? difference[p] : sum[p]);
        if (i == 0) v += m[0];
        if (i == n - 1) v += m[SIDE - 1];
        y[i] = v;
    }
}

// u = G g: n coefficients (R of a filter, or OUT of a gradient) at the points.
INLINE void NAME(transform_filter)(int n, const vf *g, vf *u) {
    u[0] = (float)(1 / NAME(slope)(-1)) * g[0];
    UNROLL for (int p = 0; p < PAIRS; p++) {
        const double point = NAME(points)[p], scale = 1 / NAME(slope)(p);
        vf even = (float)scale * g[0], odd = (float)(scale * point) * g[1];
        UNROLL for (int i = 2; i < n; i++) {
            if (i % 2) odd += (float)(scale * power(point, i)) * g[i];
            else even += (float)(scale * power(point, i)) * g[i];
        }
        u[1 + 2 * p] = even + odd;
        u[2 + 2 * p] = even - odd;
    }
    u[SIDE - 1] = g[n - 1];
}

// ---- a tile ------------------------------------------------------------------------------------

// The rows and columns of an image that a tile of size x size pixels covers. A row outside of it
// is a row of zeros, which begins at `zeros`.
typedef struct {
    const float *row[SIDE];
    int first, last;  // columns inside of the image
} NAME(view);
INLINE NAME(view) NAME(look)(const float *x, int64_t height, int64_t width, int64_t channels,
                             int64_t top, int64_t left, int size, const float *zeros) {
    NAME(view) v;
    for (int i = 0; i < size; i++) {
        int64_t r = top + i;
        v.row[i] = r < 0 || r >= height ? zeros : x + (r * width + left) * channels;
    }
    v.first = (int)max64(0, min64(size, -left));
    v.last = (int)max64(0, min64(size, width - left));
    return v;
}

// Transform channels c … of SIDE x SIDE pixels.
INLINE void NAME(input_tile)(const NAME(view) *tile, int64_t channels, int64_t c, float *o,
                             int64_t pitch, int64_t some) {
    vf half[SIDE][SIDE];
    UNROLL for (int j = 0; j < SIDE; j++) {
        vf d[SIDE], t[SIDE];
        if (j >= tile->first && j < tile->last) {
            UNROLL for (int i = 0; i < SIDE; i++) {
                const float *pixel = tile->row[i] + j * channels + c;
                d[i] = some ? load_some(pixel, some) : load(pixel);
                if (j >= SIDE - OUT)  // that is what the next tile does not share with this one
                    __builtin_prefetch(pixel + OUT * channels);
            }
            NAME(transform_input)(d, t);
            UNROLL for (int i = 0; i < SIDE; i++) half[i][j] = t[i];
        } else
            UNROLL for (int i = 0; i < SIDE; i++) half[i][j] = ZERO;
    }
    UNROLL for (int i = 0; i < SIDE; i++) {
        vf t[SIDE];
        NAME(transform_input)(half[i], t);
        UNROLL for (int j = 0; j < SIDE; j++) store(o + (i * SIDE + j) * pitch, t[j]);
    }
}

// Transform `tiles` tiles from `start` into v[POINTS][channels / VL][block][VL].
static void NAME(input_tiles)(const problem *p, const float *x, const float *zeros, int64_t start,
                              int64_t tiles, int64_t block, float *v) {
    int64_t c_count = p->channels, pitch = block * padded(c_count) + GAP;
    place at = place_of(p, start);
    for (int64_t t = 0; t < tiles; t++, step(p, &at)) {
        NAME(view) tile = NAME(look)(x + at.image * p->height * p->width * c_count, p->height,
                                     p->width, c_count, at.y - p->top, at.x - p->left, SIDE, zeros);
        int64_t c = 0;
        for (; c + VL <= c_count; c += VL)
            NAME(input_tile)(&tile, c_count, c, v + c * block + t * VL, pitch, 0);
        if (c < c_count)
            NAME(input_tile)(&tile, c_count, c, v + c * block + t * VL, pitch, c_count - c);
    }
}

// Transform back `vectors` vectors of a tile, and add the bias.
// m: [POINTS][vector][step: tile, VL]. `found`: NULL, or where deviations are noted; `first`: there
// are none yet.
enum { NAME(ORDINARY), NAME(STREAM), NAME(SOME) };
INLINE void NAME(output_tile)(const float *m, int64_t pitch, int64_t step, int vectors,
                              const float *bias, int64_t some, float *y, int64_t row, int64_t pixel,
                              int64_t rows, int64_t columns, deviations *found, int first,
                              int how) {
    vf half[LINE][OUT][SIDE], b[LINE];
    UNROLL for (int v = 0; v < vectors; v++) {
        b[v] = bias ? load_up_to(bias + v * VL, how == NAME(SOME) ? some : VL) : ZERO;
        UNROLL for (int j = 0; j < SIDE; j++) {
            vf d[SIDE], o[OUT];
            UNROLL for (int i = 0; i < SIDE; i++)
                d[i] = load(m + v * step + (i * SIDE + j) * pitch);
            NAME(transform_back)(OUT, d, o);
            UNROLL for (int i = 0; i < OUT; i++) half[v][i][j] = o[i];
        }
    }
    // A tile's sums are added to those of the block when they are whole, which keeps errors small.
    vf sum[LINE], square[LINE];
    UNROLL for (int v = 0; v < vectors; v++) sum[v] = square[v] = ZERO;
    UNROLL for (int i = 0; i < OUT; i++) {
        if (i >= rows) break;
        vf o[LINE][OUT];
        UNROLL for (int v = 0; v < vectors; v++) {
            NAME(transform_back)(OUT, half[v][i], o[v]);
            UNROLL for (int j = 0; j < OUT; j++) o[v][j] += b[v];
        }
        UNROLL for (int j = 0; j < OUT; j++)
            if (j < columns)
                UNROLL for (int v = 0; v < vectors; v++) {
                    float *to = y + i * row + j * pixel + v * VL;
                    if (how == NAME(STREAM)) stream(to, o[v][j]);
                    else if (how == NAME(ORDINARY)) store(to, o[v][j]);
                    else store_some(to, o[v][j], some);
                }
        if (found)
            UNROLL for (int v = 0; v < vectors; v++) {
                if (first && i == 0) found[v] = (deviations){o[v][0], ZERO, ZERO};
                note(o[v], columns, found[v].first, sum + v, square + v);
            }
    }
    if (found)
        UNROLL for (int v = 0; v < vectors; v++) {
            found[v].sum += sum[v];
            found[v].square += square[v];
        }
}

// … from m[POINTS][vectors][block][VL], of output channels from vector `first`. The number of pixels.
static int64_t NAME(output_tiles)(const problem *p, const float *m, int64_t pitch, int64_t first,
                                  int64_t vectors, int64_t start, int64_t tiles, const float *bias,
                                  float *y, deviations *found) {
    int64_t pixel = p->out_channels, row = pixel * p->out_width, between = p->block * VL, count = 0;
    place at = place_of(p, start);
    for (int64_t t = 0; t < tiles; t++, step(p, &at)) {
        int64_t rows = p->out_height - at.y, columns = p->out_width - at.x;
        count += min64(rows, OUT) * min64(columns, OUT);
        float *corner = y + (at.image * p->out_height + at.y) * row + at.x * pixel;
        for (int64_t v = 0; v < vectors;) {
            int64_t k = (first + v) * VL;
            int64_t many = pixel - k >= LINE * VL && vectors - v >= LINE ? LINE : 1;
            const float *from = m + v * between + t * VL, *with = bias ? bias + k : NULL;
            deviations *noted = found ? found + v : NULL;
            if (pixel - k < VL)
                NAME(output_tile)(from, pitch, between, 1, with, pixel - k, corner + k, row, pixel,
                                  rows, columns, noted, t == 0, NAME(SOME));
            else if (p->stream && many == LINE)
                NAME(output_tile)(from, pitch, between, LINE, with, 0, corner + k, row, pixel, rows,
                                  columns, noted, t == 0, NAME(STREAM));
            else if (many == LINE)
                NAME(output_tile)(from, pitch, between, LINE, with, 0, corner + k, row, pixel, rows,
                                  columns, noted, t == 0, NAME(ORDINARY));
            else
                NAME(output_tile)(from, pitch, between, 1, with, 0, corner + k, row, pixel, rows,
                                  columns, noted, t == 0, NAME(ORDINARY));
            v += many;
        }
    }
    return count;
}

// The memory of an image array (N, height, width, channels) that a block of tiles touches: `reach`
// rows from `above` rows over the first tile's corner on.
INLINE memory NAME(touched)(const problem *p, const float *array, int64_t height, int64_t width,
                            int64_t channels, int64_t above, int64_t reach, int64_t start,
                            int64_t tiles) {
    place a = place_of(p, start), b = place_of(p, start + tiles - 1);
    int64_t row = width * channels * 4, from = a.image * height + max64(a.y - above, 0);
    int64_t to = b.image * height + min64(b.y - above + reach, height);
    return (memory){(const char *)array + from * row, (to - from) * row};
}

// ---- forward, and the gradient of the image ----------------------------------------------------

// Transform a share of the filters w, (K, C, R, R), into u[POINTS][K / panel][C][panel]. `flipped`:
// for the gradient of the image; then C filters of K channels, each turned by half a turn.
static void NAME(filters)(const problem *p, const float *w, int flipped, int thread, int threads,
                          float *u) {
    int64_t outs = p->out_channels, ins = p->channels, vectors = ceil_div(outs, VL);
    int64_t out_step = flipped ? R * R : ins * R * R, in_step = flipped ? outs * R * R : R * R;
    int64_t pitch = ins * vectors * VL + GAP;
    range mine = share(vectors * ins, thread, threads);
    for (int64_t i = mine.start; i < mine.stop; i++) {
        int64_t vector = i / ins, c = i % ins, lanes = min64(VL, outs - vector * VL);
        const float *from = w + vector * VL * out_step + c * in_step;
        vf g[R * R], half[R][SIDE];
        if (lanes < VL) UNROLL for (int j = 0; j < R * R; j++) g[j] = ZERO;
        for (int64_t lane = 0; lane < lanes; lane++)
            UNROLL for (int j = 0; j < R * R; j++)
                ((float *)g)[j * VL + lane] = from[lane * out_step + (flipped ? R * R - 1 - j : j)];
        panel part = panel_of(vector, vectors);
        float *o = u + (part.first * ins + c * part.vectors + vector - part.first) * VL;
        UNROLL for (int j = 0; j < R; j++) NAME(transform_filter)(R, g + j * R, half[j]);
        UNROLL for (int j = 0; j < SIDE; j++) {
            vf d[R], t[SIDE];
            UNROLL for (int l = 0; l < R; l++) d[l] = half[l][j];
            NAME(transform_filter)(R, d, t);
            UNROLL for (int l = 0; l < SIDE; l++) store(o + (l * SIDE + j) * pitch, t[l]);
        }
    }
}

// m[POINTS][vectors][block][VL] = the products of transformed tiles v and filters u, for output
// channels from vector `first`.
static void NAME(products)(const problem *p, const float *v, const float *u, int64_t first,
                           int64_t vectors, int64_t tiles, float *m, int64_t m_pitch, memory next,
                           memory target) {
    int64_t ins = p->channels, all = ceil_div(p->out_channels, VL), step = p->block * VL;
    int64_t v_pitch = p->block * padded(ins) + GAP, u_pitch = ins * all * VL + GAP;
    for (int point = 0; point < POINTS; point++) {
        fetch(next, point, POINTS);
        fetch_to_write(target, point, POINTS);
        for (int64_t k = 0; k < vectors; k += VECTORS) {
            const float *b = u + point * u_pitch + (first + k) * ins * VL;
            int64_t wide = min64(VECTORS, vectors - k);
            for (int64_t t = 0; t < tiles; t += ROWS)
                multiplication_of(tiles - t, wide)(v + point * v_pitch + t * VL, step, b,
                                                   m + point * m_pitch + k * step + t * VL, step,
                                                   ins);
        }
    }
}

static int64_t NAME(zeros)(const problem *p) {
    return SIDE * padded(max64(p->channels, p->out_channels)) + VL;
}

// A share of the blocks.
static void NAME(convolve_share)(const job *j, int thread, int threads) {
    const problem *p = j->p;
    int64_t pitch = p->block * padded(p->channels) + GAP;
    int64_t m_pitch = p->block * p->vectors * VL + GAP, zero_count = NAME(zeros)(p);
    int64_t tiles = p->images * ceil_div(p->out_height, OUT) * ceil_div(p->out_width, OUT);
    int64_t chunks = ceil_div(tiles, ROWS), all = ceil_div(p->out_channels, VL * VECTORS);
    moments of = moments_of(j, thread);
    float *zeros = (float *)of.end, *v = zeros + zero_count, *m = v + POINTS * pitch;
    memset(zeros, 0, zero_count * sizeof *zeros);
    memset(of.mean, 0, (char *)of.end - (char *)of.mean);
    double before = 0;
    range mine = share(p->blocks * p->parts, thread, threads);
    for (int64_t item = mine.start; item < mine.stop; item++) {
        range rows = share(chunks, (int)(item / p->parts), (int)p->blocks);
        range part = share(all, (int)(item % p->parts), (int)p->parts);
        int64_t start = rows.start * ROWS, count = min64(rows.stop * ROWS, tiles) - start;
        int64_t last = min64(part.stop * VECTORS, ceil_div(p->out_channels, VL)), pixels = 0;
        // While the products keep the core busy, the memory brings what the next block needs.
        memory next = {0}, target = {0};
        if (item + 1 < mine.stop) {
            range ahead = share(chunks, (int)((item + 1) / p->parts), (int)p->blocks);
            next = NAME(touched)(p, j->x, p->height, p->width, p->channels, p->top, SIDE,
                                 ahead.start * ROWS,
                                 min64(ahead.stop * ROWS, tiles) - ahead.start * ROWS);
        }
        if (!p->stream && p->parts == 1)
            target = NAME(touched)(p, j->y, p->out_height, p->out_width, p->out_channels, 0, OUT,
                                   start, count);
        NAME(input_tiles)(p, j->x, zeros, start, count, p->block, v);
        for (int64_t k = part.start * VECTORS; k < last; k += p->vectors) {
            int64_t vectors = min64(p->vectors, last - k);
            NAME(products)(p, v, j->u, k, vectors, count, m, m_pitch, next, target);
            next.bytes = target.bytes = 0;
            pixels = NAME(output_tiles)(p, m, m_pitch, k, vectors, start, count, j->bias, j->y,
                                        j->mean ? of.found : NULL);
            if (j->mean)
                gather(of.found, (int)vectors, pixels, before, of.mean + k * VL, of.m2 + k * VL);
        }
        before += pixels;
    }
    *of.pixels = before;
    if (p->stream) _mm_sfence();
}

static void NAME(convolve)(void *given, int thread, int threads) {
    job *j = given;
    const problem *p = j->p;
    if (j->copy) {  // u may be up to date
        range mine = share(p->channels * p->out_channels * R * R, thread, threads);
        float *copy = j->copy + mine.start;
        const float *w = j->w + mine.start;
        size_t size = (mine.stop - mine.start) * sizeof *w;
        if (j->stale || memcmp(copy, w, size)) {
            memcpy(copy, w, size);
            __atomic_store_n(&j->changed, 1, __ATOMIC_RELAXED);
        }
        meet();
    }
    if (!j->copy || j->changed) {
        NAME(filters)(p, j->w, j->flipped, thread, threads, j->u);
        meet();
    }
    threads = (int)min64(threads, p->threads);  // there is no memory for more
    if (thread < threads) NAME(convolve_share)(j, thread, threads);
    if (!j->mean) return;
    meet();
    if (thread < threads) merge_moments(j, thread, threads);
}

// Cut the work into pieces. The results do not depend on how, but for the last bits of mean and
// variance; the numbers were found by measuring.
KERNEL void NAME(winograd_plan)(problem *p) {
    int64_t tiles = p->images * ceil_div(p->out_height, OUT) * ceil_div(p->out_width, OUT);
    int64_t chunks = ceil_div(tiles, ROWS), ins = padded(p->channels);
    int64_t panels = ceil_div(p->out_channels, VL * VECTORS), outs = panels * VECTORS * VL;
    // A block's transformed inputs and outputs stay in the core's cache. Where the filters do not,
    // larger blocks read them less often.
    int64_t chunk = POINTS * ROWS * 4, filters = POINTS * ins * outs * 4;
    int64_t room = filters > 2 * p->cache ? p->cache : p->cache / 4;
    p->blocks = ceil_div(chunks, max64(1, min64(room / (chunk * (ins + outs)), 4)));
    // No thread shall be idle while another does the last block.
    if (p->blocks < 16 * p->threads) p->blocks = round_up(p->blocks, p->threads);
    p->blocks = min64(p->blocks, chunks);
    p->block = ceil_div(chunks, p->blocks) * ROWS;
    p->parts = p->blocks >= p->threads ? 1 : min64(panels, ceil_div(p->threads, p->blocks));
    room = (p->cache - POINTS * p->block * ins * 4) / (POINTS * p->block * 4 * VL * VECTORS);
    p->vectors = min64(max64(room, 2), panels) * VECTORS;
    int64_t floats = moments_size(p) / 4 + NAME(zeros)(p) + POINTS * (p->block * ins + GAP)
                     + POINTS * (p->block * p->vectors * VL + GAP);
    p->bytes = p->threads * round_up(floats, 16) * 4;
    // Who reads the output next finds small ones in the caches; of large ones with many channels
    // each store would throw out what is needed soon.
    int64_t size = p->images * p->out_height * p->out_width * p->out_channels * 4;
    p->stream = p->out_channels % (LINE * VL) == 0
                && ((p->out_channels >= 128 && size >= 8 << 20) || size > p->shared_cache / 2);
}

// Floats of transformed filters.
KERNEL int64_t NAME(winograd_filter_size)(int64_t channels, int64_t out_channels) {
    return POINTS * (channels * padded(out_channels) + GAP);
}

// y = x * w + bias. w: (K, C, R, R); `flipped`: (C, K, R, R), as in the gradient of the image.
// u: room for the transformed filters. If `copy` is not NULL, they are kept there from call to
// call, and `copy` holds the w that they belong to; `stale`: not yet. u and scratch begin at cache
// lines. If `mean` and `var` are not NULL, they become y's; not where the plan has `parts`.
KERNEL void NAME(winograd_convolve)(const problem *p, const float *x, const float *w, int flipped,
                                    float *u, float *copy, int stale, const float *bias, float *y,
                                    float *mean, float *var, float *scratch) {
    problem q = *p;
    q.stream = p->stream && (uintptr_t)y % 64 == 0;
    job j = {.p = &q, .x = x, .w = w, .bias = bias, .u = u, .copy = copy, .y = y,
             .mean = mean, .var = var, .scratch = scratch, .flipped = flipped, .stale = stale};
    on_threads(NAME(convolve), &j);
}

// ---- the gradient of weights and bias ----------------------------------------------------------

// Transform OUT x OUT gradients of a tile; their sum is added to `sum`.
INLINE void NAME(gradient_tile)(const NAME(view) *tile, int64_t channels, int64_t k, float *o,
                                int64_t pitch, float *sum, int64_t some) {
    vf half[SIDE][OUT], total = ZERO;
    UNROLL for (int j = 0; j < OUT; j++) {
        vf g[OUT], t[SIDE];
        if (j < tile->last) {
            UNROLL for (int i = 0; i < OUT; i++) {
                const float *pixel = tile->row[i] + j * channels + k;
                g[i] = some ? load_some(pixel, some) : load(pixel);
                __builtin_prefetch(pixel + OUT * channels);
                total += g[i];
            }
            NAME(transform_filter)(OUT, g, t);
            UNROLL for (int i = 0; i < SIDE; i++) half[i][j] = t[i];
        } else
            UNROLL for (int i = 0; i < SIDE; i++) half[i][j] = ZERO;
    }
    store(sum, load(sum) + total);
    UNROLL for (int i = 0; i < SIDE; i++) {
        vf t[SIDE];
        NAME(transform_filter)(OUT, half[i], t);
        UNROLL for (int j = 0; j < SIDE; j++) store(o + (i * SIDE + j) * pitch, t[j]);
    }
}

// Transform `tiles` tiles from `start` into g[POINTS][K / panel][block][panel], of output channels
// from vector `first` to `last`.
static void NAME(gradient_tiles)(const problem *p, const float *gy, const float *zeros,
                                 int64_t start, int64_t tiles, int64_t first, int64_t last,
                                 float *g, float *sums) {
    int64_t channels = p->out_channels, pitch = p->block * p->vectors * VL + GAP;
    place at = place_of(p, start);
    for (int64_t t = 0; t < tiles; t++, step(p, &at)) {
        NAME(view) tile = NAME(look)(gy + at.image * p->out_height * p->out_width * channels,
                                     p->out_height, p->out_width, channels, at.y, at.x, OUT, zeros);
        for (int64_t v = 0; v < last - first; v++) {
            panel part = panel_of(v, last - first);
            int64_t k = (first + v) * VL;
            float *o = g + (part.first * p->block + t * part.vectors + v - part.first) * VL;
            if (k + VL <= channels)
                NAME(gradient_tile)(&tile, channels, k, o, pitch, sums + v * VL, 0);
            else
                NAME(gradient_tile)(&tile, channels, k, o, pitch, sums + v * VL, channels - k);
        }
    }
}

// Filters' gradients at the points, from sums of threads s[sum][POINTS][K / panel][C][panel], back
// to gw, (K, C, R, R): a share of them.
static void NAME(gradients_back)(const problem *p, const float *s, int64_t s_step, int64_t sums,
                                 int thread, int threads, float *gw) {
    int64_t ins = p->channels, outs = p->out_channels, rows = padded(ins);
    int64_t vectors = ceil_div(outs, VL), pitch = rows * vectors * VL + GAP;
    range mine = share(vectors * ins, thread, threads);
    for (int64_t i = mine.start; i < mine.stop; i++) {
        int64_t vector = i / ins, c = i % ins, lanes = min64(VL, outs - vector * VL);
        panel part = panel_of(vector, vectors);
        const float *from = s + (part.first * rows + c * part.vectors + vector - part.first) * VL;
        vf half[R][SIDE], o[R * R];
        UNROLL for (int j = 0; j < SIDE; j++) {
            vf d[SIDE], t[R];
            UNROLL for (int l = 0; l < SIDE; l++) {
                d[l] = load(from + (l * SIDE + j) * pitch);
                for (int64_t n = 1; n < sums; n++)
                    d[l] += load(from + (l * SIDE + j) * pitch + n * s_step);
            }
            NAME(transform_back)(R, d, t);
            UNROLL for (int l = 0; l < R; l++) half[l][j] = t[l];
        }
        UNROLL for (int l = 0; l < R; l++) NAME(transform_back)(R, half[l], o + l * R);
        float *to = gw + (vector * VL * ins + c) * R * R;
        for (int64_t lane = 0; lane < lanes; lane++)
            UNROLL for (int j = 0; j < R * R; j++)
                to[lane * ins * R * R + j] = ((float *)o)[j * VL + lane];
    }
}

// What each thread has, in floats; and the sums.
INLINE int64_t NAME(gradient_share)(const problem *p) {
    return round_up(NAME(zeros)(p) + POINTS * (p->block * padded(p->channels) + GAP)
                        + POINTS * (p->block * p->vectors * VL + GAP) + p->vectors * VL,
                    16);
}
INLINE int64_t NAME(gradient_sum)(const problem *p) {
    return round_up(POINTS * (padded(p->channels) * padded(p->out_channels) + GAP)
                        + padded(p->out_channels),
                    16);
}

// Threads have places in a grid: `blocks` shares of the tiles, each with a sum of its own, times
// `parts` shares of the output channels. If fewer came than planned, they do the others' work, too.
static void NAME(gradient)(void *given, int thread, int threads) {
    job *j = given;
    const problem *p = j->p;
    int64_t ins = padded(p->channels), all = ceil_div(p->out_channels, VL);
    int64_t tiles = p->images * ceil_div(p->out_height, OUT) * ceil_div(p->out_width, OUT);
    int64_t v_pitch = p->block * ins + GAP, g_pitch = p->block * p->vectors * VL + GAP;
    int64_t s_pitch = ins * all * VL + GAP, s_step = NAME(gradient_sum)(p);
    int64_t zero_count = NAME(zeros)(p);
    float *sums = j->scratch + p->threads * NAME(gradient_share)(p);
    for (int64_t place = thread; place < p->blocks * p->parts; place += threads) {
        float *zeros = j->scratch + place * NAME(gradient_share)(p), *v = zeros + zero_count;
        float *g = v + POINTS * v_pitch, *bias = g + POINTS * g_pitch;
        int64_t group = place / p->parts;
        range panels = share(ceil_div(all, VECTORS), (int)(place % p->parts), (int)p->parts);
        int64_t k0 = panels.start * VECTORS, k1 = min64(panels.stop * VECTORS, all);
        range mine = share(ceil_div(tiles, p->block), (int)group, (int)p->blocks);
        float *s = sums + group * s_step, *s_bias = s + POINTS * s_pitch + k0 * VL;
        memset(zeros, 0, zero_count * sizeof *zeros);
        memset(s_bias, 0, (k1 - k0) * VL * sizeof *s_bias);
        for (int64_t b = mine.start; b < mine.stop; b++) {
            int64_t start = b * p->block, count = min64(p->block, tiles - start);
            memset(bias, 0, (k1 - k0) * VL * sizeof *bias);
            NAME(input_tiles)(p, j->x, zeros, start, count, p->block, v);
            NAME(gradient_tiles)(p, j->gy, zeros, start, count, k0, k1, g, bias);
            for (int64_t k = 0; k < (k1 - k0) * VL; k += VL)
                store(s_bias + k, load(s_bias + k) + load(bias + k));
            memory x = {0}, gy = {0};
            if (b + 1 < mine.stop) {
                int64_t then = start + p->block, many = min64(p->block, tiles - then);
                x = NAME(touched)(p, j->x, p->height, p->width, p->channels, p->top, SIDE, then, many);
                gy = NAME(touched)(p, j->gy, p->out_height, p->out_width, p->out_channels, 0, OUT,
                                   then, many);
            }
            for (int point = 0; point < POINTS; point++) {
                fetch(x, point, POINTS);
                fetch(gy, point, POINTS);
                for (int64_t k = k0; k < k1; k += VECTORS) {
                    int64_t wide = min64(VECTORS, all - k);
                    const float *panel = g + point * g_pitch + (k - k0) * p->block * VL;
                    float *o = s + point * s_pitch + k * ins * VL;
                    for (int64_t c = 0; c < ins; c += FILTERS, o += FILTERS * wide * VL)
                        (wide == 2 ? multiply_gradient_2 : multiply_gradient_1)(
                            v + point * v_pitch + c / VL * VL * p->block + c % VL, panel, o, count,
                            b == mine.start);
                }
            }
        }
    }
    meet();
    NAME(gradients_back)(p, sums, s_step, p->blocks, thread, threads, j->gw);
    if (j->gb && thread == 0)
        for (int64_t k = 0; k < p->out_channels; k++) {
            const float *s = sums + POINTS * s_pitch + k;
            float total = *s;
            for (int64_t n = 1; n < p->blocks; n++) total += s[n * s_step];
            j->gb[k] = total;
        }
}

// Cut the work into pieces. The sums depend on how, so this looks at no cache's size.
KERNEL void NAME(winograd_gradient_plan)(problem *p) {
    int64_t tiles = p->images * ceil_div(p->out_height, OUT) * ceil_div(p->out_width, OUT);
    int64_t outs = padded(p->out_channels), panels = ceil_div(outs, VL * VECTORS);
    int64_t sum = POINTS * padded(p->channels) * outs * 4;
    // Large sums are divided among the threads, as long as not too much is transformed twice.
    p->parts = 1;
    while (sum / p->parts > 3 << 19 && outs / p->parts >= 128 && p->threads % (2 * p->parts) == 0)
        p->parts *= 2;
    // The larger the sum, the less often it shall be read and written.
    sum /= p->parts;
    p->block = sum <= 1 << 20 ? 24 : sum <= 8 << 20 ? 32 : 64;
    p->block = min64(p->block, round_up(ceil_div(tiles, p->threads / p->parts), 4));
    p->blocks = min64(ceil_div(tiles, p->block), p->threads / p->parts);
    p->parts = min64(panels, p->threads / p->blocks);
    p->vectors = ceil_div(panels, p->parts) * VECTORS;
    p->stream = 0;
    p->bytes = 4 * (p->threads * NAME(gradient_share)(p) + p->blocks * NAME(gradient_sum)(p));
}

// gw (K, C, R, R) and gb (or NULL) from the input x and the gradient gy of the output.
KERNEL void NAME(winograd_gradient)(const problem *p, const float *x, const float *gy, float *gw,
                                    float *gb, float *scratch) {
    job j = {.p = p, .x = x, .gy = gy, .gw = gw, .gb = gb, .scratch = scratch};
    on_threads(NAME(gradient), &j);
}
