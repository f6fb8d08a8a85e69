/* A disk that goes bad while a program uses it, beneath any program: calls on files below one directory are refused,
 * slowed or held. Preloaded into the process (ld.so(8), LD_PRELOAD), so it needs no right to mount and no kernel module.
 *
 * HW_SIM_BAD_DISK: the directory. HW_SIM_BAD_DISK_STATE: a file of two native ints, mapped: mode and delay in ms.
 * Modes: 0 well, 1 read-only (EROFS on whatever changes), 2 slow (the delay before each write and sync), 3 gone (EIO on
 * everything), 4 hung (calls come back when the mode changes).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WELL, READ_ONLY, SLOW, GONE, HUNG };
enum { READS, CHANGES, WRITES };
#define MOST_FDS 65536

static volatile int *state;
static const char *base;
static size_t base_length;
static volatile char ours[MOST_FDS];

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
    const char *directory = getenv("HW_SIM_BAD_DISK"), *file = getenv("HW_SIM_BAD_DISK_STATE");
    if (!directory || !file)
        return;
    int fd = REAL(open)(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, 2 * sizeof(int), PROT_READ, MAP_SHARED, fd, 0);
    REAL(close)(fd);
    if (map == MAP_FAILED)
        return;
    base = directory;
    base_length = strlen(directory);
    state = map;
}

static int below(const char *path)
{
    return state && path && !strncmp(path, base, base_length) && (path[base_length] == '/' || !path[base_length]);
}

static int is_ours(int fd)
{
    return state && fd >= 0 && fd < MOST_FDS && ours[fd];
}

/* 0: go on; otherwise the errno of a refusal. */
static int meets(int kind)
{
    struct timespec tick = {0, 20000000};
    while (state[0] == HUNG)
        nanosleep(&tick, NULL);
    if (state[0] == SLOW && kind == WRITES) {
        struct timespec delay = {state[1] / 1000, state[1] % 1000 * 1000000L};
        nanosleep(&delay, NULL);
    }
    if (state[0] == GONE)
        return EIO;
    return state[0] == READ_ONLY && kind != READS ? EROFS : 0;
}

#define MEET(condition, kind, refused)        \
    do {                                      \
        int code_ = (condition) ? meets(kind) : 0; \
        if (code_) {                          \
            errno = code_;                    \
            return refused;                   \
        }                                     \
    } while (0)

static int opened(int fd, const char *path)
{
    if (fd >= 0 && fd < MOST_FDS)
        ours[fd] = (char)below(path);
    return fd;
}

#define MODE_OF(flags, mode)                   \
    mode_t mode = 0;                           \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {   \
        va_list more;                          \
        va_start(more, flags);                 \
        mode = va_arg(more, mode_t);           \
        va_end(more);                          \
    }

#define OPEN(name)                                                                                      \
    int name(const char *path, int flags, ...)                                                          \
    {                                                                                                   \
        MODE_OF(flags, mode)                                                                            \
        MEET(below(path), flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) ? CHANGES : READS, -1);       \
        return opened(REAL(name)(path, flags, mode), path);                                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                    \
    int name(int at, const char *path, int flags, ...)                                                  \
    {                                                                                                   \
        MODE_OF(flags, mode)                                                                            \
        MEET(below(path), flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) ? CHANGES : READS, -1);       \
        return opened(REAL(name)(at, path, flags, mode), path);                                         \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
    if (fd >= 0 && fd < MOST_FDS)
        ours[fd] = 0;
    return REAL(close)(fd);
}

#define CALL(type, name, condition, kind, refused, parameters, arguments) \
    type name parameters                                                  \
    {                                                                     \
        MEET(condition, kind, refused);                                   \
        return REAL(name) arguments;                                      \
    }
CALL(ssize_t, write, is_ours(fd), WRITES, -1, (int fd, const void *data, size_t size), (fd, data, size))
CALL(ssize_t, pwrite, is_ours(fd), WRITES, -1, (int fd, const void *d, size_t size, off_t at), (fd, d, size, at))
CALL(ssize_t, pwrite64, is_ours(fd), WRITES, -1, (int fd, const void *d, size_t size, off64_t at), (fd, d, size, at))
CALL(ssize_t, writev, is_ours(fd), WRITES, -1, (int fd, const struct iovec *parts, int count), (fd, parts, count))
CALL(ssize_t, read, is_ours(fd), READS, -1, (int fd, void *data, size_t size), (fd, data, size))
CALL(int, fsync, is_ours(fd), WRITES, -1, (int fd), (fd))
CALL(int, fdatasync, is_ours(fd), WRITES, -1, (int fd), (fd))
CALL(int, ftruncate, is_ours(fd), CHANGES, -1, (int fd, off_t size), (fd, size))
CALL(int, ftruncate64, is_ours(fd), CHANGES, -1, (int fd, off64_t size), (fd, size))
CALL(int, truncate, below(path), CHANGES, -1, (const char *path, off_t size), (path, size))
CALL(int, truncate64, below(path), CHANGES, -1, (const char *path, off64_t size), (path, size))
CALL(int, unlink, below(path), CHANGES, -1, (const char *path), (path))
CALL(int, mkdir, below(path), CHANGES, -1, (const char *path, mode_t mode), (path, mode))
CALL(int, rmdir, below(path), CHANGES, -1, (const char *path), (path))
CALL(int, rename, below(to), CHANGES, -1, (const char *from, const char *to), (from, to))
CALL(int, renameat, below(to), CHANGES, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
CALL(DIR *, opendir, below(path), READS, NULL, (const char *path), (path))

int posix_fallocate(int fd, off_t at, off_t size)
{
    int code = is_ours(fd) ? meets(CHANGES) : 0;
    return code ? code : REAL(posix_fallocate)(fd, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size)
{
    int code = is_ours(fd) ? meets(CHANGES) : 0;
    return code ? code : REAL(posix_fallocate64)(fd, at, size);
}
