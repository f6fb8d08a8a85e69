// A-weighted levels (unitd/call/voice/loudness.py), and a frame for the horn at its gain (unitd/call/voice/gain.py).

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "floats.h"

struct loudness {
    int frame;
    const float *weights;  // frame / 2 + 1 powers, of the caller, who keeps them
    struct complex_f32 *spectrum;
    void *fft;
    float *samples;
    float memory[];
};

EXPORT struct loudness *unitd_loudness_new(int frame, const float *weights)
{
    struct loudness *l = calloc(1, sizeof *l + (2 * frame + 2) * sizeof(float));
    if (l == NULL)
        return NULL;
    l->frame = frame, l->weights = weights;
    l->samples = l->memory;
    l->spectrum = (struct complex_f32 *)(l->memory + frame);
    l->fft = gst_fft_f32_new(frame, 0);
    return l;
}

EXPORT void unitd_loudness_free(struct loudness *l)
{
    gst_fft_f32_free(l->fft);
    free(l);
}

// The weighted power of a frame.
EXPORT float unitd_loudness_power(struct loudness *l, const float *samples)
{
    unsigned long before = floats_begin();
    for (int at = 0; at < l->frame; at++)
        l->samples[at] = sound(samples[at]);
    gst_fft_f32_fft(l->fft, l->samples, l->spectrum);
    float sum = 0;
    for (int k = 0; k <= l->frame / 2; k++) {
        struct complex_f32 bin = l->spectrum[k];
        sum += l->weights[k] * (bin.re * bin.re + bin.im * bin.im);
    }
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
