// The FFT of the canceller and of the levels: lengths of 960 and 1920, of which a block takes eleven.
//
// A Stockham FFT (no reordering; Van Loan, Computational Frameworks for the FFT, 1992, 1.7) of four interleaved parts
// at once, one in each lane of a vector, so that every step is whole vectors; a last step of radix 4 across the lanes
// makes them one. Real samples go in as complex ones of half the length. Three times as fast as GStreamer's (kiss FFT).

#include "fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "floats.h"

#define MOST_STEPS 12
#define CIRCLE 6.283185307179586

struct complex_vector { vector re, im; };

struct fft {
    int half;  // complex numbers
    int each;  // of them in a lane
    int steps, radix[MOST_STEPS];
    struct complex_vector *from, *into, *lanes;  // each; lanes: what turns the parts against each other
    float *twiddles;  // of all steps, re and im in turn
    float *turn_re, *turn_im;  // half + 1: from half the length to the whole
    float *re, *im;  // half + 1
    float memory[];
};

static double turned(double part, int is_im)
{
    return is_im ? -sin(CIRCLE * part) : cos(CIRCLE * part);
}

struct fft *fft_new(int length)
{
    int half = length / 2, each = half / LANES, steps = 0, radix[MOST_STEPS], left = each;
    for (int factor = 5; factor > 1; factor--)
        for (; left % factor == 0 && left > 1 && steps < MOST_STEPS; left /= factor)
            radix[steps++] = factor;
    if (length <= 0 || length % 32 || left != 1)
        return NULL;
    // No step has more twiddles than `each`.
    size_t floats = 3 * (size_t)each * 2 * LANES + 2 * (size_t)steps * each + 4 * ((size_t)half + LANES) + 16;
    struct fft *f = calloc(1, sizeof *f + floats * sizeof(float));
    if (f == NULL)
        return NULL;
    f->half = half, f->each = each, f->steps = steps;
    memcpy(f->radix, radix, sizeof radix);
    f->from = (struct complex_vector *)(((size_t)f->memory + 63) & ~(size_t)63);
    f->into = f->from + each;
    f->lanes = f->into + each;
    f->re = (float *)(f->lanes + each), f->im = f->re + half + LANES;
    f->turn_re = f->im + half + LANES, f->turn_im = f->turn_re + half + LANES;
    f->twiddles = f->turn_im + half + LANES;
    float *twiddle = f->twiddles;
    for (int step = 0, whole = each; step < steps; whole /= radix[step++])
        for (int p = 0; p < whole / radix[step]; p++)
            for (int k = 1; k < radix[step]; k++, twiddle += 2)
                for (int is_im = 0; is_im < 2; is_im++)
                    twiddle[is_im] = (float)turned((double)p * k / whole, is_im);
    for (int k = 0; k < each; k++)
        for (int lane = 0; lane < LANES; lane++) {
            f->lanes[k].re[lane] = (float)turned((double)lane * k / half, 0);
            f->lanes[k].im[lane] = (float)turned((double)lane * k / half, 1);
        }
    for (int k = 0; k <= half; k++) {
        f->turn_re[k] = (float)turned((double)k / length, 0);
        f->turn_im[k] = (float)turned((double)k / length, 1);
    }
    return f;
}

void fft_free(struct fft *f)
{
    free(f);
}

// a[k] becomes the sum over i of a[i] turned by -i * k of `radix` parts of a circle.
static inline __attribute__((always_inline)) void butterfly(const int radix, struct complex_vector *a)
{
#define SPLIT(out, back, sum, side) \
    do { \
        (out).re = (sum).re + (side).im, (out).im = (sum).im - (side).re; \
        (back).re = (sum).re - (side).im, (back).im = (sum).im + (side).re; \
    } while (0)
#define ADD(a, b) {(a).re + (b).re, (a).im + (b).im}
#define LESS(a, b) {(a).re - (b).re, (a).im - (b).im}
#define MIX(x, a, y, b) {(x) * (a).re + (y) * (b).re, (x) * (a).im + (y) * (b).im}
    if (radix == 2) {
        struct complex_vector sum = ADD(a[0], a[1]), less = LESS(a[0], a[1]);
        a[0] = sum, a[1] = less;
    } else if (radix == 3) {
        struct complex_vector sum = ADD(a[1], a[2]), less = LESS(a[1], a[2]);
        struct complex_vector rest = {a[0].re - 0.5f * sum.re, a[0].im - 0.5f * sum.im};
        struct complex_vector side = {0.866025404f * less.re, 0.866025404f * less.im};
        a[0].re += sum.re, a[0].im += sum.im;
        SPLIT(a[1], a[2], rest, side);
    } else if (radix == 4) {
        struct complex_vector even = ADD(a[0], a[2]), even_less = LESS(a[0], a[2]);
        struct complex_vector odd = ADD(a[1], a[3]), odd_less = LESS(a[1], a[3]);
        a[0].re = even.re + odd.re, a[0].im = even.im + odd.im;
        a[2].re = even.re - odd.re, a[2].im = even.im - odd.im;
        SPLIT(a[1], a[3], even_less, odd_less);
    } else {
        const float c1 = 0.309016994f, c2 = -0.809016994f, s1 = 0.951056516f, s2 = 0.587785252f;
        struct complex_vector outer = ADD(a[1], a[4]), inner = ADD(a[2], a[3]);
        struct complex_vector outer_less = LESS(a[1], a[4]), inner_less = LESS(a[2], a[3]);
        struct complex_vector near = MIX(c1, outer, c2, inner), far = MIX(c2, outer, c1, inner);
        struct complex_vector near_side = MIX(s1, outer_less, s2, inner_less);
        struct complex_vector far_side = MIX(s2, outer_less, -s1, inner_less);
        near.re += a[0].re, near.im += a[0].im, far.re += a[0].re, far.im += a[0].im;
        a[0].re += outer.re + inner.re, a[0].im += outer.im + inner.im;
        SPLIT(a[1], a[4], near, near_side);
        SPLIT(a[2], a[3], far, far_side);
    }
}

// One step: `parts` groups of `radix` numbers that lie `parts * stride` apart.
static inline __attribute__((always_inline)) const float *step(const int radix, int parts, int stride,
    const struct complex_vector *restrict from, struct complex_vector *restrict into, const float *restrict twiddle)
{
    for (int p = 0; p < parts; p++, twiddle += 2 * (radix - 1))
        for (int q = 0; q < stride; q++) {
            struct complex_vector a[5];
            for (int i = 0; i < radix; i++)
                a[i] = from[q + stride * (p + parts * i)];
            butterfly(radix, a);
            struct complex_vector *out = into + q + stride * radix * p;
            out[0] = a[0];
            for (int k = 1; k < radix; k++) {
                float re = twiddle[2 * k - 2], im = twiddle[2 * k - 1];
                out[stride * k].re = a[k].re * re - a[k].im * im;
                out[stride * k].im = a[k].re * im + a[k].im * re;
            }
        }
    return twiddle;
}

// Rows become columns.
static inline void transpose(vector *a)
{
    vector low01 = __builtin_shufflevector(a[0], a[1], 0, 4, 1, 5), high01 = __builtin_shufflevector(a[0], a[1], 2, 6, 3, 7);
    vector low23 = __builtin_shufflevector(a[2], a[3], 0, 4, 1, 5), high23 = __builtin_shufflevector(a[2], a[3], 2, 6, 3, 7);
    a[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5), a[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    a[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5), a[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

// The complex FFT of `from`, into re and im; `from` is used up.
static void transform(struct fft *f, float *re, float *im)
{
    struct complex_vector *from = f->from, *into = f->into;
    const float *twiddle = f->twiddles;
    for (int at = 0, parts = f->each, stride = 1; at < f->steps; stride *= f->radix[at++]) {
        parts /= f->radix[at];
        switch (f->radix[at]) {
        case 2: twiddle = step(2, parts, stride, from, into, twiddle); break;
        case 3: twiddle = step(3, parts, stride, from, into, twiddle); break;
        case 4: twiddle = step(4, parts, stride, from, into, twiddle); break;
        default: twiddle = step(5, parts, stride, from, into, twiddle);
        }
        struct complex_vector *last = from;
        from = into, into = last;
    }
    for (int k = 0; k < f->each; k += LANES) {
        vector a_re[LANES], a_im[LANES];
        for (int i = 0; i < LANES; i++) {
            struct complex_vector a = from[k + i], turn = f->lanes[k + i];
            a_re[i] = a.re * turn.re - a.im * turn.im;
            a_im[i] = a.re * turn.im + a.im * turn.re;
        }
        transpose(a_re);
        transpose(a_im);
        struct complex_vector lanes[LANES];
        for (int i = 0; i < LANES; i++)
            lanes[i] = (struct complex_vector){a_re[i], a_im[i]};
        butterfly(4, lanes);
        for (int i = 0; i < LANES; i++) {
            memcpy(re + i * f->each + k, &lanes[i].re, sizeof(vector));
            memcpy(im + i * f->each + k, &lanes[i].im, sizeof(vector));
        }
    }
}

void fft_forward(struct fft *f, const float *samples, float *restrict out_re, float *restrict out_im, int bins)
{
    int half = f->half;
    for (int at = 0; at < f->each; at++) {
        vector low, high;
        memcpy(&low, samples + 2 * LANES * at, sizeof low);
        memcpy(&high, samples + 2 * LANES * at + LANES, sizeof high);
        f->from[at].re = __builtin_shufflevector(low, high, 0, 2, 4, 6);
        f->from[at].im = __builtin_shufflevector(low, high, 1, 3, 5, 7);
    }
    transform(f, f->re, f->im);
    f->re[half] = f->re[0], f->im[half] = f->im[0];
    const float *restrict re = f->re, *restrict im = f->im;
    const float *restrict turn_re = f->turn_re, *restrict turn_im = f->turn_im;
    for (int k = 0; k < bins; k++) {
        float even_re = re[k] + re[half - k], even_im = im[k] - im[half - k];
        float odd_re = im[k] + im[half - k], odd_im = re[half - k] - re[k];
        out_re[k] = 0.5f * (even_re + odd_re * turn_re[k] - odd_im * turn_im[k]);
        out_im[k] = 0.5f * (even_im + odd_re * turn_im[k] + odd_im * turn_re[k]);
    }
}

void fft_inverse(struct fft *f, const float *restrict in_re, const float *restrict in_im, float *samples)
{
    int half = f->half;
    float *restrict re = f->re, *restrict im = f->im;
    const float *restrict turn_re = f->turn_re, *restrict turn_im = f->turn_im;
    for (int k = 1; k < half; k++) {
        float even_re = in_re[k] + in_re[half - k], even_im = in_im[k] - in_im[half - k];
        float odd_re = in_re[k] - in_re[half - k], odd_im = in_im[k] + in_im[half - k];
        re[k] = even_re - (odd_im * turn_re[k] - odd_re * turn_im[k]);
        im[k] = even_im + (odd_re * turn_re[k] + odd_im * turn_im[k]);
    }
    re[0] = in_re[0] + in_re[half], im[0] = in_re[0] - in_re[half];
    // Backwards is forwards with re and im in each other's place.
    for (int at = 0; at < f->each; at++) {
        memcpy(&f->from[at].re, im + LANES * at, sizeof(vector));
        memcpy(&f->from[at].im, re + LANES * at, sizeof(vector));
    }
    transform(f, f->im, f->re);
    for (int at = 0; at < half; at++)
        samples[2 * at] = re[at], samples[2 * at + 1] = im[at];
}
