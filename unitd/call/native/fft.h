// The spectrum of real sound, and sound out of its spectrum.

#ifndef UNITD_FFT_H
#define UNITD_FFT_H

struct fft;

// For `length` real samples: a multiple of 32 without prime factors above 5. NULL when there is no memory, or for
// another length. One object is for one thread at a time: it has memory of its own to work in.
struct fft *fft_new(int length);
void fft_free(struct fft *fft);

// The first `bins` of length / 2 + 1 bins.
void fft_forward(struct fft *fft, const float *samples, float *re, float *im, int bins);

// `length` samples, times `length`, out of all of its bins. What is imaginary in the first and the last counts for
// nothing.
void fft_inverse(struct fft *fft, const float *re, const float *im, float *samples);

#endif
