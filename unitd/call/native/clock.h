/* Python's time.monotonic. */
#ifndef UNITD_CLOCK_H
#define UNITD_CLOCK_H

#include <time.h>

static inline double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
