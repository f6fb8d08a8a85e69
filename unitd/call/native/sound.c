// Samples on their way: 16 bit and float, and sound read at another clock's pace (unitd/call/voice/resample.py).

#include <math.h>
#include <string.h>

#include "floats.h"

// Signed 16 bit out of -1..1; what is louder is clipped.
EXPORT void unitd_sound_pcm(const float *samples, short *pcm, int count)
{
    for (int at = 0; at < count; at++) {
        float sample = 32767.0f * sound(samples[at]);
        sample = sample > 32767.0f ? 32767.0f : sample < -32767.0f ? -32767.0f : sample;
        pcm[at] = (short)sample;
    }
}

EXPORT void unitd_sound_samples(const short *pcm, float *samples, int count)
{
    for (int at = 0; at < count; at++)
        samples[at] = pcm[at] * (1.0f / 32767.0f);
}

// Where a voice module stands: `quiet` is what it made of the sound, `late` samples behind it, `share` of which passes
// by. `passing` holds `late` samples from one call to the next.
EXPORT void unitd_sound_pass(
    const short *quiet, const float *samples, float *passing, int late, float share, float *out, int count)
{
    for (int at = 0; at < count; at++) {
        float made = quiet[at] * (1.0f / 32767.0f), passes = at < late ? passing[at] : samples[at - late];
        out[at] = made + share * (passes - made);
    }
    memcpy(passing, samples + count - late, late * sizeof(float));
}

// The greatest magnitude, 0 to 32768.
EXPORT int unitd_sound_peak(const short *pcm, int count)
{
    int low = 0, high = 0;
    for (int at = 0; at < count; at++) {
        low = pcm[at] < low ? pcm[at] : low;
        high = pcm[at] > high ? pcm[at] : high;
    }
    return -low > high ? -low : high;
}

// Signed 16 bit added to `mix`, at a gain, in its own scale.
EXPORT void unitd_sound_add(float *restrict mix, const short *restrict pcm, int count, float gain)
{
    for (int at = 0; at < count; at++)
        mix[at] += gain * pcm[at];
}

// `mix` as signed 16 bit; returns whether some of it was too loud, and clipped.
EXPORT int unitd_sound_mixed(const float *restrict mix, short *restrict pcm, int count)
{
    for (int at = 0; at < count; at++) {
        float sample = mix[at] < -32768.0f ? -32768.0f : mix[at];
        pcm[at] = (short)(sample > 32767.0f ? 32767.0f : sample);
    }
    return loudest(mix, count) > 32767.0f;
}

EXPORT float unitd_sound_energy(const float *samples, int count)
{
    return energy(samples, count);
}

// `count` samples at first, first + step, ... out of a line whose samples oldest..newest - 1 begin at `line`; silence
// where it has none. `table`: phases + 1 rows of `taps`; the phase is held for `piece` samples.
EXPORT void unitd_sound_read(const float *line, long long oldest, long long newest, double first, double step,
    float *out, int count, int piece, const float *table, int taps, int phases)
{
    for (int done = 0; done < count; done += piece) {
        double at = first + step * (done + piece / 2.0) - piece / 2.0;
        double whole = floor(at);
        int phase = (int)lrint((at - whole) * phases);
        const float *row = table + (size_t)phase * taps;
        float *made = out + done;
        // Where the first tap of the first sample stands, if there are samples that far back or on at all.
        if (!(whole > oldest - 1e6 && whole < newest + 1e6)) {
            memset(made, 0, piece * sizeof(float));
            continue;
        }
        long long start = (long long)whole - taps / 2 + 1;
        if (start >= oldest && start + piece + taps - 1 <= newest) {
            const float *from = line + (start - oldest);
            if (phase == 0) {
                memcpy(made, from + taps / 2 - 1, piece * sizeof(float));
                continue;
            }
            memset(made, 0, piece * sizeof(float));
            for (int tap = 0; tap < taps; tap++) {
                const float weight = row[tap], *restrict in = from + tap;
                float *restrict sum = made;
                for (int k = 0; k < piece; k++)
                    sum[k] += weight * in[k];
            }
            continue;
        }
        for (int k = 0; k < piece; k++) {
            float sum = 0;
            for (int tap = 0; tap < taps; tap++) {
                long long place = start + k + tap;
                float weight = phase ? row[tap] : tap == taps / 2 - 1;
                sum += place >= oldest && place < newest ? weight * line[place - oldest] : 0;
            }
            made[k] = sum;
        }
    }
}
