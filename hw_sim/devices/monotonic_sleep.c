/* Loaded before libfaketime: sleeps on the monotonic clock go straight to the kernel.

   libfaketime 0.9.10 shifts the deadline of every absolute clock_nanosleep, also on CLOCK_MONOTONIC, which it was told
   to leave alone. GStreamer's clock waits that way: after a step of the wall clock it would sleep for decades. */

#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left)
{
    return syscall(SYS_clock_nanosleep, clock, flags, until, left) == 0 ? 0 : errno;
}
