// The linear half of the canceller (unitd/call/voice/echo_filter.py has the why, the sources and every constant).
//
// A partitioned-block Kalman filter in the frequency domain. Per block: two passes over partitions and bins, each in
// rows that fit the innermost cache, and five FFTs. Real and imaginary parts lie apart, so that gcc makes vectors of
// the loops; the powers of the horn's spectra are made where they are used, which is cheaper than fetching them.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fft.h"
#include "floats.h"

#define NONSENSE 1e12f
// No sum of sound comes near it; its square is still a float.

struct echo_filter {
    int block, parts, bins;
    int stride;  // floats from one row to the next: bins and what fills a cache line
    float stays, doubt_at_first, others_smoothing, least;
    int head, turn, begun;
    int silent;  // blocks of the horn's silence in a row
    int rested;  // blocks since the horn's last sound has left the filter
    float *far_re, *far_im, *way_re, *way_im, *doubt;  // parts rows each; far: a ring that begins at head
    float *others, *expected, *gain, *sum_re, *sum_im;  // a row each
    float *far, *frame;  // 2 blocks each: the horn's last two; a row in time
    float *wanted_re, *wanted_im;  // block + 1 each: a spectrum to be made sound, 0 above bins for ever
    struct fft *fft;
    float memory[];
};

static void reset(struct echo_filter *f)
{
    size_t rows = (size_t)f->parts * f->stride;
    for (size_t at = 0; at < rows; at++) {
        f->far_re[at] = f->far_im[at] = f->way_re[at] = f->way_im[at] = 0;
        f->doubt[at] = f->doubt_at_first;
    }
    memset(f->others, 0, f->stride * sizeof(float));
    memset(f->far, 0, 2 * f->block * sizeof(float));
    f->head = f->turn = f->begun = f->silent = f->rested = 0;
}

EXPORT struct echo_filter *unitd_echo_filter_new(
    int block, int parts, int bins, float stays, float doubt_at_first, float others_smoothing, float least)
{
    int stride = (bins + 15) & ~15;
    size_t floats = (size_t)(5 * parts + 5) * stride + 4 * block + 2 * (block + 1);
    struct echo_filter *f = calloc(1, sizeof *f + (floats + 16) * sizeof(float));
    struct fft *fft = fft_new(2 * block);
    if (f == NULL || fft == NULL) {
        free(f);
        fft_free(fft);
        return NULL;
    }
    f->fft = fft;
    f->block = block, f->parts = parts, f->bins = bins, f->stride = stride;
    f->stays = stays, f->doubt_at_first = doubt_at_first;
    f->others_smoothing = others_smoothing, f->least = least;
    float *next = (float *)(((size_t)f->memory + 63) & ~(size_t)63);
    float **planes[] = {&f->far_re, &f->far_im, &f->way_re, &f->way_im, &f->doubt};
    for (int plane = 0; plane < 5; plane++, next += (size_t)parts * stride)
        *planes[plane] = next;
    float **rows[] = {&f->others, &f->expected, &f->gain, &f->sum_re, &f->sum_im};
    for (int row = 0; row < 5; row++, next += stride)
        *rows[row] = next;
    f->far = next, next += 2 * block;
    f->frame = next, next += 2 * block;
    f->wanted_re = next, next += block + 1;
    f->wanted_im = next;
    reset(f);
    return f;
}

EXPORT void unitd_echo_filter_free(struct echo_filter *f)
{
    fft_free(f->fft);
    free(f);
}

// The echo's spectrum and what of it is expected to be left: sums over all partitions. Whether they are numbers.
static int look(const struct echo_filter *f)
{
    int stride = f->stride, bad = 0;
    float *restrict sum_re = f->sum_re, *restrict sum_im = f->sum_im, *restrict expected = f->expected;
    memset(sum_re, 0, stride * sizeof(float));
    memset(sum_im, 0, stride * sizeof(float));
    memset(expected, 0, stride * sizeof(float));
    for (int part = 0; part < f->parts; part++) {
        size_t heard = (size_t)((f->head + part) % f->parts) * stride, row = (size_t)part * stride;
        const float *restrict far_re = f->far_re + heard, *restrict far_im = f->far_im + heard;
        const float *restrict way_re = f->way_re + row, *restrict way_im = f->way_im + row;
        const float *restrict doubt = f->doubt + row;
        for (int k = 0; k < stride; k++) {
            sum_re[k] += far_re[k] * way_re[k] - far_im[k] * way_im[k];
            sum_im[k] += far_re[k] * way_im[k] + far_im[k] * way_re[k];
            expected[k] += 0.5f * doubt[k] * (far_re[k] * far_re[k] + far_im[k] * far_im[k]);
        }
    }
    for (int k = 0; k < stride; k++)
        bad |= !(fabsf(sum_re[k]) < NONSENSE) | !(fabsf(sum_im[k]) < NONSENSE) | !(expected[k] < NONSENSE);
    return !bad;
}

// One partition's answer ends with its block: what lies behind would be wrapped round.
static void cut(struct echo_filter *f, float *way_re, float *way_im)
{
    int block = f->block, bins = f->bins;
    memcpy(f->wanted_re, way_re, bins * sizeof(float));
    memcpy(f->wanted_im, way_im, bins * sizeof(float));
    fft_inverse(f->fft, f->wanted_re, f->wanted_im, f->frame);
    float whole = 1.0f / (2 * block);
    for (int at = 0; at < block; at++)
        f->frame[at] *= whole, f->frame[block + at] = 0;
    fft_forward(f->fft, f->frame, way_re, way_im, bins);
}

// The Kalman step. `frame`: what is left of the microphone's block, after a block of nothing.
static void learn(struct echo_filter *f)
{
    int stride = f->stride;
    float *restrict gain = f->gain, *restrict error_re = f->sum_re, *restrict error_im = f->sum_im;
    float *restrict others = f->others;
    float smoothing = f->begun ? f->others_smoothing : 0.0f;
    f->begun = 1;
    fft_forward(f->fft, f->frame, error_re, error_im, f->bins);
    for (int k = 0; k < stride; k++) {
        float heard = error_re[k] * error_re[k] + error_im[k] * error_im[k];
        others[k] = smoothing * others[k] + (1 - smoothing) * heard;
        gain[k] = 1.0f / (f->expected[k] + others[k] + f->least);
    }
    // One partition in turn is cut: all of them would be 3 times the work for 1 dB.
    f->turn = (f->turn + 1) % f->parts;
    float stays = f->stays, kept = stays * stays, learnt = 0.5f * kept, moved = 1 - kept;
    for (int part = 0; part < f->parts; part++) {
        size_t heard = (size_t)((f->head + part) % f->parts) * stride, row = (size_t)part * stride;
        const float *restrict far_re = f->far_re + heard, *restrict far_im = f->far_im + heard;
        float *restrict way_re = f->way_re + row, *restrict way_im = f->way_im + row;
        float *restrict doubt = f->doubt + row;
        for (int k = 0; k < stride; k++) {
            float step = doubt[k] * gain[k];
            float power = far_re[k] * far_re[k] + far_im[k] * far_im[k];
            way_re[k] += step * (far_re[k] * error_re[k] + far_im[k] * error_im[k]);
            way_im[k] += step * (far_re[k] * error_im[k] - far_im[k] * error_re[k]);
            doubt[k] *= kept - learnt * step * power;
        }
        if (part == f->turn)
            cut(f, way_re, way_im);
        for (int k = 0; k < stride; k++) {
            doubt[k] += moved * (way_re[k] * way_re[k] + way_im[k] * way_im[k]);
            way_re[k] *= stays;
            way_im[k] *= stays;
        }
    }
}

// The horn sounds again: what was known holds as it was, and is doubted for as long as it could not be seen.
static void wake(struct echo_filter *f)
{
    size_t rows = (size_t)f->parts * f->stride;
    float kept = powf(f->stays, 2.0f * f->rested);
    for (size_t at = 0; at < rows; at++)
        f->doubt[at] = kept * f->doubt[at]
            + (1 - kept) * (f->way_re[at] * f->way_re[at] + f->way_im[at] * f->way_im[at]);
    f->rested = f->begun = 0;
}

// One block: `rest`, `echo` (block samples) and `expected` (bins) are written. Returns how loud the horn was, at most.
EXPORT float unitd_echo_filter_block(
    struct echo_filter *f, const float *far, const float *near, float *rest, float *echo, float *expected)
{
    unsigned long before = floats_begin();
    int block = f->block, bins = f->bins;
    for (int at = 0; at < block; at++) {
        f->far[at] = f->far[block + at];
        f->far[block + at] = sound(far[at]);
        rest[at] = sound(near[at]);
    }
    float most = loudest(f->far + block, block);
    f->silent = most > 0 ? 0 : f->silent < f->parts + 1 ? f->silent + 1 : f->silent;
    if (f->silent > f->parts) {
        f->rested += f->rested < 1 << 24;
        memset(echo, 0, block * sizeof(float));
        memset(expected, 0, bins * sizeof(float));
        floats_end(before);
        return most;
    }
    if (f->rested > 0)
        wake(f);
    f->head = (f->head + f->parts - 1) % f->parts;
    size_t newest = (size_t)f->head * f->stride;
    fft_forward(f->fft, f->far, f->far_re + newest, f->far_im + newest, bins);
    if (!look(f)) {
        reset(f);
        look(f);
    }
    memcpy(f->wanted_re, f->sum_re, bins * sizeof(float));
    memcpy(f->wanted_im, f->sum_im, bins * sizeof(float));
    fft_inverse(f->fft, f->wanted_re, f->wanted_im, f->frame);
    float whole = 1.0f / (2 * block);
    for (int at = 0; at < block; at++) {
        echo[at] = f->frame[block + at] * whole;
        rest[at] -= echo[at];
        f->frame[block + at] = rest[at];
    }
    memset(f->frame, 0, block * sizeof(float));
    learn(f);
    memcpy(expected, f->expected, bins * sizeof(float));
    floats_end(before);
    return most;
}

// How loud the learned way is: its power over all partitions, the mean of the bins.
EXPORT float unitd_echo_filter_loudness(const struct echo_filter *f)
{
    size_t rows = (size_t)f->parts * f->stride;
    return (energy(f->way_re, (int)rows) + energy(f->way_im, (int)rows)) / f->bins;
}

// No coefficient is surer than this.
EXPORT void unitd_echo_filter_doubt(struct echo_filter *f, float doubt)
{
    size_t rows = (size_t)f->parts * f->stride;
    if (f->rested > 0)
        wake(f);
    for (size_t at = 0; at < rows; at++)
        f->doubt[at] = f->doubt[at] > doubt ? f->doubt[at] : doubt;
    f->begun = 0;
}

// The way, partition by partition, `bins` each: re and im in turn.
EXPORT void unitd_echo_filter_way(const struct echo_filter *f, float *way)
{
    for (int part = 0; part < f->parts; part++)
        for (int k = 0; k < f->bins; k++) {
            size_t at = (size_t)part * f->stride + k;
            *way++ = f->way_re[at], *way++ = f->way_im[at];
        }
}
