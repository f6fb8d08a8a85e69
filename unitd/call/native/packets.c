/* What sees every packet of a call: which ones passed.
 *
 * A probe in Python costs 25 to 50 us a packet, 425 times a second at 4 Mbit/s: a twentieth of a core of a small
 * machine, and each waits for the interpreter while the voice wants it too. This takes no lock for longer than a copy.
 * What the figures mean and what is done with them is Python's (rtc/packets.py).
 *
 * The log is counted: the pad holds one of its own, so it does not matter who goes first.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "clock.h"
#include "probe.h"

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

static void note(Log *log, void *packet, double at_s)
{
    uint8_t header[HEADER];
    size_t length = gst_buffer_extract(packet, 0, header, sizeof header);
    unitd_log_note(log, header, (uint32_t)length, (uint32_t)gst_buffer_get_size(packet), at_s);
}

static int on_packet(void *pad, GstPadProbeInfo *info, void *data)
{
    double at_s = now_s();
    (void)pad;
    if (info->type & BUFFER) {
        note(data, info->data, at_s);
    } else {
        for (unsigned i = 0, count = gst_buffer_list_length(info->data); i < count; i++)
            note(data, gst_buffer_list_get(info->data, i), at_s);
    }
    return OK;
}

EXPORT void unitd_log_watch(Log *log, void *pad)
{
    atomic_fetch_add(&log->count, 1);
    gst_pad_add_probe(pad, BUFFER | BUFFER_LIST, on_packet, log, unitd_log_free);
}
