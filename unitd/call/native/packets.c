/* The probes that see every packet of a call: which ones passed, and when the picture's may leave.
 *
 * A probe in Python costs 25 to 50 us a packet, 425 times a second at 4 Mbit/s: a twentieth of a core of a small
 * machine, and each waits for the interpreter while the voice wants it too. These take no lock for longer than a copy.
 * What the figures mean and what is done with them is Python's (rtc/packets.py, congestion/pacer.py).
 *
 * Both objects are counted: the pad holds one of its own, so it does not matter who goes first.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

/* libgstrtp. A mapped packet is a GstRTPBuffer: 496 bytes in 1.22, its rest for later ones. */
typedef union {
    unsigned char room[1024];
    void *aligned;
} MappedPacket;
int gst_rtp_buffer_map(void *buffer, int mode, MappedPacket *packet);
void gst_rtp_buffer_unmap(MappedPacket *packet);
int gst_rtp_buffer_add_extension_onebyte_header(MappedPacket *packet, uint8_t id, const void *data, unsigned size);
void *gst_mini_object_make_writable(void *object);
enum { READ_AND_WRITE = 3 };

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- what passed -------------------------------------------------------------------------------------------------- */

enum { NOTES = 4096, HEADER = 32 };

typedef struct {
    double at_s;
    uint32_t size_bytes, source, rtp_time;
    uint16_t number, sequence;
    uint8_t payload, is_numbered, unused[6];
} Note;

typedef struct {
    atomic_int count;
    pthread_mutex_t lock;
    int extension;
    uint32_t first, held;
    uint64_t dropped;
    Note notes[NOTES];
} Log;

EXPORT Log *unitd_log_new(int extension)
{
    Log *log = calloc(1, sizeof *log);
    if (log) {
        atomic_init(&log->count, 1);
        pthread_mutex_init(&log->lock, NULL);
        log->extension = extension;
    }
    return log;
}

EXPORT void unitd_log_free(void *data)
{
    Log *log = data;
    if (atomic_fetch_sub(&log->count, 1) == 1) {
        pthread_mutex_destroy(&log->lock);
        free(log);
    }
}

/* The number in the header extension (RFC 8285, one-byte form), wherever it stands in it; -1 without one. */
static int number_in(const uint8_t *header, size_t length, int extension)
{
    size_t at = 12 + 4 * (size_t)(header[0] & 0x0F);
    if (!(header[0] & 0x10) || at + 4 > length || header[at] != 0xBE || header[at + 1] != 0xDE)
        return -1;
    size_t end = at + 4 + 4 * ((size_t)header[at + 2] << 8 | header[at + 3]);
    if (end > length)
        end = length;
    for (at += 4; at < end;) {
        int id = header[at] >> 4, bytes = (header[at] & 0x0F) + 1;
        if (id == 15)
            return -1;
        if (id == 0) {
            at++;
            continue;
        }
        if (id == extension)
            return bytes == 2 && at + 3 <= end ? header[at + 1] << 8 | header[at + 2] : -1;
        at += 1 + (size_t)bytes;
    }
    return -1;
}

static uint32_t word_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* One packet that passes, by its first bytes. */
EXPORT void unitd_log_note(Log *log, const uint8_t *header, uint32_t length, uint32_t size_bytes, double at_s)
{
    if (length < 12)
        return;
    int number = number_in(header, length, log->extension);
    pthread_mutex_lock(&log->lock);
    if (log->held == NOTES) { /* the oldest goes: feedback will not ask for it any more */
        log->first = (log->first + 1) % NOTES;
        log->held--;
        log->dropped++;
    }
    Note *note = &log->notes[(log->first + log->held++) % NOTES];
    *note = (Note){
        .at_s = at_s,
        .size_bytes = size_bytes,
        .source = word_at(header + 8),
        .rtp_time = word_at(header + 4),
        .number = number < 0 ? 0 : (uint16_t)number,
        .sequence = (uint16_t)(header[2] << 8 | header[3]),
        .payload = header[1] & 0x7F,
        .is_numbered = number >= 0,
    };
    pthread_mutex_unlock(&log->lock);
}

/* Takes up to `most` notes out, oldest first; how many. */
EXPORT uint32_t unitd_log_take(Log *log, Note *into, uint32_t most)
{
    pthread_mutex_lock(&log->lock);
    uint32_t taken = log->held < most ? log->held : most;
    for (uint32_t i = 0; i < taken; i++)
        into[i] = log->notes[(log->first + i) % NOTES];
    log->first = (log->first + taken) % NOTES;
    log->held -= taken;
    pthread_mutex_unlock(&log->lock);
    return taken;
}

EXPORT uint64_t unitd_log_dropped(Log *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t dropped = log->dropped;
    pthread_mutex_unlock(&log->lock);
    return dropped;
}

static int on_packet(void *pad, GstPadProbeInfo *info, void *data)
{
    uint8_t header[HEADER];
    (void)pad;
    size_t length = gst_buffer_extract(info->data, 0, header, sizeof header);
    unitd_log_note(data, header, (uint32_t)length, (uint32_t)gst_buffer_get_size(info->data), now_s());
    return OK;
}

EXPORT void unitd_log_watch(Log *log, void *pad)
{
    atomic_fetch_add(&log->count, 1);
    gst_pad_add_probe(pad, BUFFER, on_packet, log, unitd_log_free);
}

/* ---- when the picture may leave ------------------------------------------------------------------------------------ */

typedef struct {
    atomic_int count;
    pthread_mutex_t lock;
    atomic_uint changes; /* what a waiting packet sleeps on */
    double rate_bit_s, burst_s, least_sleep_s, free_at_s, leaves_s;
    uint64_t stale_before_ns, sent, marked_pts_ns;
    int is_open, mark;
    uint8_t mark_bytes[3];
} Pacer;

EXPORT Pacer *unitd_pacer_new(double rate_bit_s, double burst_s, double least_sleep_s)
{
    Pacer *pacer = calloc(1, sizeof *pacer);
    if (!pacer)
        return NULL;
    atomic_init(&pacer->count, 1);
    pthread_mutex_init(&pacer->lock, NULL);
    atomic_init(&pacer->changes, 0);
    pacer->rate_bit_s = rate_bit_s;
    pacer->burst_s = burst_s;
    pacer->least_sleep_s = least_sleep_s;
    return pacer;
}

EXPORT void unitd_pacer_free(void *data)
{
    Pacer *pacer = data;
    if (atomic_fetch_sub(&pacer->count, 1) == 1) {
        pthread_mutex_destroy(&pacer->lock);
        free(pacer);
    }
}

static double rescaled(double at_s, double from_s, double factor)
{
    return at_s > from_s ? from_s + (at_s - from_s) * factor : at_s;
}

/* What has changed holds at once, for the packet too that waits now. */
EXPORT void unitd_pacer_set(Pacer *pacer, int is_open, double rate_bit_s, uint64_t stale_before_ns)
{
    pthread_mutex_lock(&pacer->lock);
    pacer->is_open = is_open;
    if (rate_bit_s != pacer->rate_bit_s) {
        double at_s = now_s(), factor = pacer->rate_bit_s / rate_bit_s;
        pacer->free_at_s = rescaled(pacer->free_at_s, at_s, factor);
        pacer->leaves_s = rescaled(pacer->leaves_s, at_s, factor);
        pacer->rate_bit_s = rate_bit_s;
    }
    pacer->stale_before_ns = stale_before_ns;
    atomic_fetch_add(&pacer->changes, 1);
    pthread_mutex_unlock(&pacer->lock);
    syscall(SYS_futex, &pacer->changes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* A leaky bucket: when this packet may leave; it is counted as sent. */
static double due_s(Pacer *pacer, size_t size_bytes, double at_s)
{
    double start_s = pacer->free_at_s > at_s - pacer->burst_s ? pacer->free_at_s : at_s - pacer->burst_s;
    pacer->free_at_s = start_s + (double)size_bytes * 8 / pacer->rate_bit_s;
    pacer->sent++;
    return start_s;
}

EXPORT double unitd_pacer_wait_s(Pacer *pacer, uint64_t size_bytes, double at_s)
{
    pthread_mutex_lock(&pacer->lock);
    double wait_s = due_s(pacer, size_bytes, at_s) - at_s;
    pthread_mutex_unlock(&pacer->lock);
    return wait_s > 0 ? wait_s : 0;
}

EXPORT uint64_t unitd_pacer_sent(Pacer *pacer)
{
    pthread_mutex_lock(&pacer->lock);
    uint64_t sent = pacer->sent;
    pthread_mutex_unlock(&pacer->lock);
    return sent;
}

/* Before the payloader, so that the far end misses no packet number of what is let go here. */
static int on_picture(void *pad, GstPadProbeInfo *info, void *data)
{
    Pacer *pacer = data;
    (void)pad;
    pthread_mutex_lock(&pacer->lock);
    int is_stale = ((GstBufferHead *)info->data)->pts < pacer->stale_before_ns;
    pthread_mutex_unlock(&pacer->lock);
    return is_stale ? DROP : OK;
}

/* Until something has changed, `longest_s` at most. A length of time and no instant: whoever has bent this process's
 * clocks (a test that starts in 1970) has bent them for `now_s` and not for the kernel. */
static void sleep_unlocked(Pacer *pacer, double longest_s)
{
    unsigned seen = atomic_load(&pacer->changes);
    struct timespec longest = {(time_t)longest_s, (long)((longest_s - (double)(time_t)longest_s) * 1e9)};
    pthread_mutex_unlock(&pacer->lock);
    if (longest_s > 0)
        syscall(SYS_futex, &pacer->changes, FUTEX_WAIT_PRIVATE, seen, &longest, NULL, 0);
    pthread_mutex_lock(&pacer->lock);
}

/* Tell the far end how long it may hold this picture back, in the first packet of it. */
static void *marked(void *buffer, int mark, const uint8_t *bytes)
{
    MappedPacket packet = {{0}};
    buffer = gst_mini_object_make_writable(buffer);
    if (gst_rtp_buffer_map(buffer, READ_AND_WRITE, &packet)) {
        gst_rtp_buffer_add_extension_onebyte_header(&packet, (uint8_t)mark, bytes, 3);
        gst_rtp_buffer_unmap(&packet);
    }
    return buffer;
}

/* From the next picture on; `mark` is the number of the header extension, 0 for none. */
EXPORT void unitd_pacer_mark(Pacer *pacer, int mark, const uint8_t *bytes)
{
    pthread_mutex_lock(&pacer->lock);
    pacer->mark = mark;
    memcpy(pacer->mark_bytes, bytes, sizeof pacer->mark_bytes);
    pthread_mutex_unlock(&pacer->lock);
}

static int on_paced_packet(void *pad, GstPadProbeInfo *info, void *data)
{
    Pacer *pacer = data;
    uint64_t pts_ns = ((GstBufferHead *)info->data)->pts;
    size_t size_bytes = gst_buffer_get_size(info->data);
    int is_stale = 0, mark = 0;
    uint8_t bytes[3];
    (void)pad;
    pthread_mutex_lock(&pacer->lock);
    if (pacer->is_open && !(is_stale = pts_ns < pacer->stale_before_ns)) {
        pacer->leaves_s = due_s(pacer, size_bytes, now_s());
        while (pacer->is_open && !(is_stale = pts_ns < pacer->stale_before_ns) &&
               pacer->leaves_s - now_s() > pacer->least_sleep_s) {
            sleep_unlocked(pacer, pacer->leaves_s - now_s());
        }
        is_stale = is_stale && pacer->is_open;
        if (!is_stale && pacer->marked_pts_ns != pts_ns) {
            mark = pacer->mark;
            memcpy(bytes, pacer->mark_bytes, sizeof bytes);
            pacer->marked_pts_ns = pts_ns;
        }
    }
    pthread_mutex_unlock(&pacer->lock);
    if (mark)
        info->data = marked(info->data, mark, bytes);
    return is_stale ? DROP : OK;
}

EXPORT void unitd_pacer_watch(Pacer *pacer, void *pictures, void *packets)
{
    atomic_fetch_add(&pacer->count, 2);
    gst_pad_add_probe(pictures, BUFFER, on_picture, pacer, unitd_pacer_free);
    gst_pad_add_probe(packets, BUFFER, on_paced_packet, pacer, unitd_pacer_free);
}
