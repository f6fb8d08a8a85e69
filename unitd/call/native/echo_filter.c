// The linear half of the canceller (unitd/call/voice/echo_filter.py has the why, the sources and every constant).
//
// A partitioned-block Kalman filter in the frequency domain. Per block: two passes over partitions and bins, each in
// whole vectors, and five FFTs. Real and imaginary parts lie apart for their sake; the powers of the horn's spectra are
// made where they are used, which is cheaper than fetching them.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fft.h"
#include "floats.h"

#define NONSENSE 1e12f
// No sum of sound comes near it; its square is still a float.

#define WIDE 2
// Vectors of one partition after the other that `look` sums up at a time: its sums stay in registers.

struct echo_filter {
    int block, parts, bins;
    int row;  // vectors of a partition: its bins, and nothing to the end of a cache line
    float stays, doubt_at_first, others_smoothing, least;
    int head, turn, begun;
    int silent;  // blocks of the horn's silence in a row
    int rested;  // blocks since the horn's last sound has left the filter
    vector *far_re, *far_im, *way_re, *way_im, *doubt;  // parts rows each; far: a ring that begins at head
    vector *others, *expected, *gain, *sum_re, *sum_im;  // a row each
    float *far, *frame;  // 2 blocks each: the horn's last two; a row in time
    float *wanted_re, *wanted_im;  // block + 1 each: a spectrum to be made sound, 0 above bins for ever
    struct fft *fft;
    float memory[];
};

static void reset(struct echo_filter *f)
{
    for (int at = 0; at < f->parts * f->row; at++) {
        f->far_re[at] = f->far_im[at] = f->way_re[at] = f->way_im[at] = (vector){0};
        f->doubt[at] = f->doubt_at_first + (vector){0};
    }
    memset(f->others, 0, f->row * sizeof(vector));
    memset(f->far, 0, 2 * f->block * sizeof(float));
    f->head = f->turn = f->begun = f->silent = f->rested = 0;
}

EXPORT struct echo_filter *unitd_echo_filter_new(
    int block, int parts, int bins, float stays, float doubt_at_first, float others_smoothing, float least)
{
    int row = (bins + 15) / 16 * 4;
    size_t floats = (size_t)(5 * parts + 5) * row * LANES + 4 * block + 2 * (block + 1);
    struct echo_filter *f = calloc(1, sizeof *f + (floats + 16) * sizeof(float));
    struct fft *fft = fft_new(2 * block);
    if (f == NULL || fft == NULL) {
        free(f);
        fft_free(fft);
        return NULL;
    }
    f->block = block, f->parts = parts, f->bins = bins, f->row = row, f->fft = fft;
    f->stays = stays, f->doubt_at_first = doubt_at_first;
    f->others_smoothing = others_smoothing, f->least = least;
    vector *next = (vector *)(((size_t)f->memory + 63) & ~(size_t)63);
    vector **planes[] = {&f->far_re, &f->far_im, &f->way_re, &f->way_im, &f->doubt};
    for (int plane = 0; plane < 5; plane++, next += (size_t)parts * row)
        *planes[plane] = next;
    vector **rows[] = {&f->others, &f->expected, &f->gain, &f->sum_re, &f->sum_im};
    for (int at = 0; at < 5; at++, next += row)
        *rows[at] = next;
    f->far = (float *)next;
    f->frame = f->far + 2 * block;
    f->wanted_re = f->frame + 2 * block;
    f->wanted_im = f->wanted_re + block + 1;
    reset(f);
    return f;
}

EXPORT void unitd_echo_filter_free(struct echo_filter *f)
{
    fft_free(f->fft);
    free(f);
}

// Where the horn's sound of so many blocks ago stands.
static inline int heard(const struct echo_filter *f, int part)
{
    int at = f->head + part;
    return (at < f->parts ? at : at - f->parts) * f->row;
}

// The echo's spectrum and what of it is expected to be left: sums over all partitions. Whether they are numbers.
static int look(const struct echo_filter *f)
{
    for (int first = 0; first < f->row; first += WIDE) {
        vector re[WIDE] = {{0}}, im[WIDE] = {{0}}, left[WIDE] = {{0}};
        for (int part = 0; part < f->parts; part++) {
            const vector *far_re = f->far_re + heard(f, part) + first, *far_im = f->far_im + heard(f, part) + first;
            int row = part * f->row + first;
            const vector *way_re = f->way_re + row, *way_im = f->way_im + row, *doubt = f->doubt + row;
            for (int k = 0; k < WIDE; k++) {
                re[k] += far_re[k] * way_re[k] - far_im[k] * way_im[k];
                im[k] += far_re[k] * way_im[k] + far_im[k] * way_re[k];
                left[k] += doubt[k] * (far_re[k] * far_re[k] + far_im[k] * far_im[k]);
            }
        }
        for (int k = 0; k < WIDE; k++)
            f->sum_re[first + k] = re[k], f->sum_im[first + k] = im[k], f->expected[first + k] = 0.5f * left[k];
    }
    const float *re = (float *)f->sum_re, *im = (float *)f->sum_im, *left = (float *)f->expected;
    int bad = 0;
    for (int k = 0; k < f->bins; k++)
        bad |= !(fabsf(re[k]) < NONSENSE) | !(fabsf(im[k]) < NONSENSE) | !(left[k] < NONSENSE);
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
    vector *error_re = f->sum_re, *error_im = f->sum_im, *gain = f->gain;
    fft_forward(f->fft, f->frame, (float *)error_re, (float *)error_im, f->bins);
    float smoothing = f->begun ? f->others_smoothing : 0.0f;
    f->begun = 1;
    for (int k = 0; k < f->row; k++) {
        vector power = error_re[k] * error_re[k] + error_im[k] * error_im[k];
        f->others[k] = smoothing * f->others[k] + (1 - smoothing) * power;
        gain[k] = 1.0f / (f->expected[k] + f->others[k] + f->least);
    }
    // One partition in turn is cut: all of them would be 3 times the work for 1 dB.
    f->turn = (f->turn + 1) % f->parts;
    float stays = f->stays, kept = stays * stays, learnt = 0.5f * kept, moved = 1 - kept;
    for (int part = 0; part < f->parts; part++) {
        const vector *far_re = f->far_re + heard(f, part), *far_im = f->far_im + heard(f, part);
        int row = part * f->row, is_cut = part == f->turn;
        float ages = is_cut ? 0 : moved, holds = is_cut ? 1 : stays;  // of one that is cut: afterwards
        vector *way_re = f->way_re + row, *way_im = f->way_im + row, *doubt = f->doubt + row;
        for (int k = 0; k < f->row; k++) {
            vector step = doubt[k] * gain[k], power = far_re[k] * far_re[k] + far_im[k] * far_im[k];
            vector re = way_re[k] + step * (far_re[k] * error_re[k] + far_im[k] * error_im[k]);
            vector im = way_im[k] + step * (far_re[k] * error_im[k] - far_im[k] * error_re[k]);
            doubt[k] = doubt[k] * (kept - learnt * step * power) + ages * (re * re + im * im);
            way_re[k] = holds * re, way_im[k] = holds * im;
        }
        if (!is_cut)
            continue;
        cut(f, (float *)way_re, (float *)way_im);
        for (int k = 0; k < f->row; k++) {
            doubt[k] += moved * (way_re[k] * way_re[k] + way_im[k] * way_im[k]);
            way_re[k] *= stays, way_im[k] *= stays;
        }
    }
}

// The horn sounds again: what was known holds as it was, and is doubted for as long as it could not be seen.
static void wake(struct echo_filter *f)
{
    float kept = powf(f->stays, 2.0f * f->rested);
    for (int at = 0; at < f->parts * f->row; at++)
        f->doubt[at] = kept * f->doubt[at]
            + (1 - kept) * (f->way_re[at] * f->way_re[at] + f->way_im[at] * f->way_im[at]);
    f->rested = f->begun = 0;
}

// One block: `rest`, `echo` (block samples) and `expected` (bins) are written. Returns how loud the horn was, at most.
EXPORT float unitd_echo_filter_block(struct echo_filter *f, const float *far, const float *near, float *restrict rest,
    float *restrict echo, float *expected)
{
    unsigned long before = floats_begin();
    int block = f->block, bins = f->bins;
    memcpy(f->far, f->far + block, block * sizeof(float));
    sounds(far, f->far + block, block);
    sounds(near, rest, block);
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
    fft_forward(f->fft, f->far, (float *)(f->far_re + heard(f, 0)), (float *)(f->far_im + heard(f, 0)), bins);
    if (!look(f)) {
        reset(f);
        look(f);
    }
    memcpy(f->wanted_re, f->sum_re, bins * sizeof(float));
    memcpy(f->wanted_im, f->sum_im, bins * sizeof(float));
    fft_inverse(f->fft, f->wanted_re, f->wanted_im, f->frame);
    float whole = 1.0f / (2 * block), *restrict frame = f->frame;
    memset(frame, 0, block * sizeof(float));
    for (int at = 0; at < block; at++) {
        echo[at] = frame[block + at] * whole;
        rest[at] -= echo[at];
        frame[block + at] = rest[at];
    }
    learn(f);
    memcpy(expected, f->expected, bins * sizeof(float));
    floats_end(before);
    return most;
}

// How loud the learned way is: its power over all partitions, the mean of the bins.
EXPORT float unitd_echo_filter_loudness(const struct echo_filter *f)
{
    int floats = f->parts * f->row * LANES;
    return (energy((float *)f->way_re, floats) + energy((float *)f->way_im, floats)) / f->bins;
}

// No coefficient is surer than this.
EXPORT void unitd_echo_filter_doubt(struct echo_filter *f, float least)
{
    if (f->rested > 0)
        wake(f);
    float *doubt = (float *)f->doubt;
    for (int at = 0; at < f->parts * f->row * LANES; at++)
        doubt[at] = doubt[at] > least ? doubt[at] : least;
    f->begun = 0;
}

// The way, partition by partition, `bins` each: re and im in turn.
EXPORT void unitd_echo_filter_way(const struct echo_filter *f, float *way)
{
    for (int part = 0; part < f->parts; part++) {
        const float *re = (float *)(f->way_re + part * f->row), *im = (float *)(f->way_im + part * f->row);
        for (int k = 0; k < f->bins; k++)
            *way++ = re[k], *way++ = im[k];
    }
}
