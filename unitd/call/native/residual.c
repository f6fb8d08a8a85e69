// What is left of the echo turned down where the caller is not heard (unitd/call/voice/residual.py has the why and
// every constant). Per call two hops of 10 ms: six FFTs, and the gains of some 30 bands.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fft.h"
#include "floats.h"

#define NONSENSE 1e12f
#define NOTHING 1e-12f

// As residual.py fills it in.
struct residual_plan {
    int hop, bands;
    const int *edges;  // bands + 1, in bins of the FFT; the last ends it
    const float *window;  // 2 hops
    float lowest_gain, over, expected_over;
    float leak_down, leak_up, leak_at_first, least_leak;
    float echo_heard, echo_rings;
    float noise_up, noise_down, noise_at_first, least_noise;
    float open_at_once, close;
};

struct residual {
    struct residual_plan plan;
    float *rest, *echo;  // 3 hops each: the last of before, and the two that are new
    float *frame, *tail;  // 2 hops; 1
    float *leak, *noise, *rests, *echos, *gain, *expected, *power;  // bands each
    float *said_re, *said_im, *found_re, *found_im;  // hop + 1 each
    struct fft *fft;
    float memory[];
};

EXPORT struct residual *unitd_residual_new(const struct residual_plan *plan)
{
    int hop = plan->hop, bands = plan->bands;
    size_t floats = 9 * hop + 7 * bands + 4 * (hop + 1);
    struct residual *r = calloc(1, sizeof *r + floats * sizeof(float));
    struct fft *fft = fft_new(2 * hop);
    if (r == NULL || fft == NULL) {
        free(r);
        fft_free(fft);
        return NULL;
    }
    r->plan = *plan, r->fft = fft;
    float *next = r->memory;
    float **spectra[] = {&r->said_re, &r->said_im, &r->found_re, &r->found_im};
    for (int part = 0; part < 4; part++, next += hop + 1)
        *spectra[part] = next;
    r->rest = next, next += 3 * hop;
    r->echo = next, next += 3 * hop;
    r->frame = next, next += 2 * hop;
    r->tail = next, next += hop;
    float **rows[] = {&r->leak, &r->noise, &r->rests, &r->echos, &r->gain, &r->expected, &r->power};
    for (int row = 0; row < 7; row++, next += bands)
        *rows[row] = next;
    for (int band = 0; band < bands; band++)
        r->leak[band] = plan->leak_at_first, r->noise[band] = plan->noise_at_first, r->gain[band] = 1;
    return r;
}

EXPORT void unitd_residual_free(struct residual *r)
{
    fft_free(r->fft);
    free(r);
}

// `power`: `bins` powers of a spectrum over two hops without a window, of bins half as wide as here.
EXPORT void unitd_residual_expect(struct residual *r, const float *power, int bins)
{
    unsigned long before = floats_begin();
    for (int band = 0; band < r->plan.bands; band++) {
        float sum = 0;
        for (int k = 2 * r->plan.edges[band]; k < 2 * r->plan.edges[band + 1] && k < bins; k++)
            sum += power[k];
        // Half: a window of 20 ms instead of none; half again: two bins there are one here.
        r->expected[band] = sum < NONSENSE ? 0.25f * sum : 0;
    }
    floats_end(before);
}

static void transform(struct residual *r, const float *samples, float *re, float *im)
{
    float *restrict frame = r->frame;
    const float *restrict window = r->plan.window;
    for (int at = 0; at < 2 * r->plan.hop; at++)
        frame[at] = samples[at] * window[at];
    fft_forward(r->fft, r->frame, re, im, r->plan.hop + 1);
}

static float band_power(const struct residual *r, const float *re, const float *im, int band)
{
    float sum = 0;
    for (int k = r->plan.edges[band]; k < r->plan.edges[band + 1]; k++)
        sum += re[k] * re[k] + im[k] * im[k];
    return sum;
}

// The gain of one band, out of the powers of what is heard and of the echo that was found.
static void judge(struct residual *r, int band, float rest, float echo)
{
    const struct residual_plan *p = &r->plan;
    float noise = r->noise[band], leak = r->leak[band];
    // The echo rings on in the room: what was found just now still explains something.
    float rung = p->echo_rings * r->echos[band];
    float echos = r->echos[band] = echo > rung ? echo : rung;
    float rests = r->rests[band] = 0.5f * r->rests[band] + 0.5f * rest;
    if (echos > p->echo_heard + noise) {
        float ratio = rests / (echos + NOTHING);
        leak += (ratio < leak ? p->leak_down : p->leak_up) * ((ratio < 1 ? ratio : 1) - leak);
    }
    r->leak[band] = leak = leak > p->least_leak ? leak : p->least_leak;
    noise = rest < noise ? noise + p->noise_down * (rest - noise) : noise * p->noise_up;
    r->noise[band] = noise = noise > p->least_noise ? noise : p->least_noise;
    float left = p->over * leak * echos, expected = p->expected_over * r->expected[band];
    left = left > expected ? left : expected;
    float passes = 1 - left / (rest + NOTHING), floor = noise / (rest + NOTHING);
    float wanted = sqrtf(passes > 0 ? passes : 0);
    floor = sqrtf(floor < 1 ? floor : 1);
    wanted = wanted > floor ? wanted : floor;
    wanted = wanted > p->lowest_gain ? wanted : p->lowest_gain;
    r->gain[band] += (wanted > r->gain[band] ? p->open_at_once : p->close) * (wanted - r->gain[band]);
}

// One hop: `rest` and `echo` begin with the hop before it; writes what can be given out now.
static void hop(struct residual *r, const float *rest, const float *echo, float *restrict out)
{
    int length = r->plan.hop;
    transform(r, rest, r->said_re, r->said_im);
    transform(r, echo, r->found_re, r->found_im);
    for (int band = 0; band < r->plan.bands; band++) {
        float heard = band_power(r, r->said_re, r->said_im, band);
        judge(r, band, heard, band_power(r, r->found_re, r->found_im, band));
        for (int k = r->plan.edges[band]; k < r->plan.edges[band + 1]; k++)
            r->said_re[k] *= r->gain[band], r->said_im[k] *= r->gain[band];
    }
    fft_inverse(r->fft, r->said_re, r->said_im, r->frame);
    float whole = 1.0f / (2 * length), *restrict tail = r->tail;
    const float *restrict frame = r->frame, *restrict window = r->plan.window;
    for (int at = 0; at < length; at++) {
        out[at] = tail[at] + whole * frame[at] * window[at];
        tail[at] = whole * frame[length + at] * window[length + at];
    }
}

// The next 2 hops of the filter's output and of the echo that it found; `out` gets as many.
EXPORT void unitd_residual_block(struct residual *r, const float *rest, const float *echo, float *out)
{
    unsigned long before = floats_begin();
    int length = r->plan.hop;
    memcpy(r->rest, r->rest + 2 * length, length * sizeof(float));
    memcpy(r->echo, r->echo + 2 * length, length * sizeof(float));
    sounds(rest, r->rest + length, 2 * length);
    sounds(echo, r->echo + length, 2 * length);
    for (int index = 0; index < 2; index++)
        hop(r, r->rest + index * length, r->echo + index * length, out + index * length);
    floats_end(before);
}
