// A-weighted levels (unitd/call/voice/loudness.py), and a frame for the horn at its gain (unitd/call/voice/gain.py).

#include <math.h>
#include <stdlib.h>

#include "fft.h"
#include "floats.h"

struct loudness {
    int frame;
    const float *weights;  // frame / 2 + 1 powers, of the caller, who keeps them
    float *samples, *re, *im;
    struct fft *fft;
    float memory[];
};

EXPORT struct loudness *unitd_loudness_new(int frame, const float *weights)
{
    struct loudness *l = calloc(1, sizeof *l + (2 * frame + 2) * sizeof(float));
    struct fft *fft = fft_new(frame);
    if (l == NULL || fft == NULL) {
        free(l);
        fft_free(fft);
        return NULL;
    }
    l->frame = frame, l->weights = weights, l->fft = fft;
    l->samples = l->memory;
    l->re = l->samples + frame;
    l->im = l->re + frame / 2 + 1;
    return l;
}

EXPORT void unitd_loudness_free(struct loudness *l)
{
    fft_free(l->fft);
    free(l);
}

// The weighted power of a frame.
EXPORT float unitd_loudness_power(struct loudness *l, const float *samples)
{
    unsigned long before = floats_begin();
    sounds(samples, l->samples, l->frame);
    fft_forward(l->fft, l->samples, l->re, l->im, l->frame / 2 + 1);
    float sum = 0;
    for (int k = 0; k <= l->frame / 2; k++)
        sum += l->weights[k] * (l->re[k] * l->re[k] + l->im[k] * l->im[k]);
    floats_end(before);
    return sum;
}

// `out` becomes a frame at `gain`, reached from the gain `from` in `ramp` samples, none of it above `peak`: straight up
// to `straight` of it, then bent towards it. Returns the weighted power of `out`.
EXPORT float unitd_loudness_play(struct loudness *l, const float *samples, float *out, float from, float gain, int ramp,
    float peak, float straight)
{
    unsigned long before = floats_begin();
    for (int at = 0; at < l->frame; at++)
        out[at] = gain * sound(samples[at]);
    for (int at = 0; at < ramp && at < l->frame && from != gain; at++)
        out[at] = (from + (gain - from) * at / (ramp - 1)) * sound(samples[at]);
    float knee = straight * peak, room = peak - knee;
    if (loudest(out, l->frame) > knee)
        for (int at = 0; at < l->frame; at++) {
            float over = fabsf(out[at]) - knee;
            if (over > 0)
                out[at] = copysignf(knee + room * tanhf(over / room), out[at]);
        }
    floats_end(before);
    return unitd_loudness_power(l, out);
}
