// What the sums of the voice share: sound as floats, at full speed in silence too.

#ifndef UNITD_FLOATS_H
#define UNITD_FLOATS_H

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define EXPORT __attribute__((visibility("default")))

// Four floats, which every processor that runs this takes at once. Written out where it matters: gcc finds vectors in
// plain loops only where it can prove that nothing overlaps.
#define LANES 4
typedef float vector __attribute__((vector_size(16), may_alias));

// Numbers below 1e-38 count as 0 from here to `floats_end`: a sum that fades in silence is a hundred times slower among
// them on some processors. The thread's own mode comes back, Python's numbers are untouched.
static inline unsigned long floats_begin(void)
{
    unsigned long before = 0;
#if defined(__x86_64__)
    before = _mm_getcsr();
    _mm_setcsr((unsigned)before | 0x8040);
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | 1ul << 24));
#endif
    return before;
}

static inline void floats_end(unsigned long before)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

// A sample as it came, 0 for what is none (NaN, infinity, a number far out of -1..1).
static inline float sound(float sample)
{
    return sample > -16.0f && sample < 16.0f ? sample : 0.0f;
}

static inline void sounds(const float *restrict from, float *restrict into, int count)
{
    for (int at = 0; at < count; at++)
        into[at] = sound(from[at]);
}

// The greatest magnitude. In lanes: gcc makes one instruction of them.
static inline float loudest(const float *samples, int count)
{
    float lanes[16] = {0};
    int at = 0;
    for (; at + 16 <= count; at += 16)
        for (int lane = 0; lane < 16; lane++) {
            float sample = __builtin_fabsf(samples[at + lane]);
            lanes[lane] = sample > lanes[lane] ? sample : lanes[lane];
        }
    float most = 0;
    for (; at < count; at++)
        most = __builtin_fabsf(samples[at]) > most ? __builtin_fabsf(samples[at]) : most;
    for (int lane = 0; lane < 16; lane++)
        most = lanes[lane] > most ? lanes[lane] : most;
    return most;
}

static inline float energy(const float *samples, int count)
{
    float lanes[16] = {0}, sum = 0;
    int at = 0;
    for (; at + 16 <= count; at += 16)
        for (int lane = 0; lane < 16; lane++)
            lanes[lane] += samples[at + lane] * samples[at + lane];
    for (; at < count; at++)
        sum += samples[at] * samples[at];
    for (int lane = 0; lane < 16; lane++)
        sum += lanes[lane];
    return sum;
}

#endif
