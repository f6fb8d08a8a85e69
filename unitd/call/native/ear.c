/* What a far end says, decoded, on its way from GStreamer's thread to the sound card's: a ring of bytes.
 *
 * A sink that calls Python costs a new thread state of the interpreter for every frame (Python 3.11: 16 KB mapped and
 * given back, 50 times a second), and waits for whoever runs Python then.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "probe.h"

enum { ROOM = 48000 }; /* 0.5 s of 48 kHz s16 mono */
enum { LEAST_GAP_NS = 2500000 };

typedef struct {
    atomic_int count;
    pthread_mutex_t lock;
    uint32_t first, held;
    uint64_t dropped;
    uint8_t bytes[ROOM];
} Ear;

EXPORT Ear *unitd_ear_new(void)
{
    Ear *ear = calloc(1, sizeof *ear);
    if (ear) {
        atomic_init(&ear->count, 1);
        pthread_mutex_init(&ear->lock, NULL);
    }
    return ear;
}

EXPORT void unitd_ear_free(void *data)
{
    Ear *ear = data;
    if (atomic_fetch_sub(&ear->count, 1) == 1) {
        pthread_mutex_destroy(&ear->lock);
        free(ear);
    }
}

static void forget(Ear *ear, uint32_t bytes)
{
    ear->first = (ear->first + bytes) % ROOM;
    ear->held -= bytes;
}

/* The sound goes no further: nobody else has a use of it. */
static int on_sound(void *pad, GstPadProbeInfo *info, void *data)
{
    Ear *ear = data;
    size_t size = gst_buffer_get_size(info->data) & ~(size_t)1, skip = size > ROOM ? size - ROOM : 0;
    (void)pad;
    size -= skip;
    pthread_mutex_lock(&ear->lock);
    uint32_t over = ear->held + size > ROOM ? (uint32_t)(ear->held + size - ROOM) : 0;
    forget(ear, over); /* nobody takes it: the newest is worth more */
    ear->dropped += over + skip;
    uint32_t at = (ear->first + ear->held) % ROOM, until_end = ROOM - at;
    uint32_t straight = size < until_end ? (uint32_t)size : until_end;
    gst_buffer_extract(info->data, skip, ear->bytes + at, straight);
    gst_buffer_extract(info->data, skip + straight, ear->bytes, size - straight);
    ear->held += (uint32_t)size;
    pthread_mutex_unlock(&ear->lock);
    return DROP;
}

EXPORT void unitd_ear_watch(Ear *ear, void *pad)
{
    atomic_fetch_add(&ear->count, 1);
    gst_pad_add_probe(pad, BUFFER, on_sound, ear, unitd_ear_free);
}

/* Opus conceals in steps of 2.5 ms. A gap that is rounded to none leaves GStreamer 1.22's opusdec (with in-band FEC)
 * waiting for it for ever: nothing more is decoded. Such a gap is a lost packet that took no time, because it carried no
 * sound: Chromium pads its voice so when it probes for bandwidth. One that arrives would be concealed as a lost one. */
static int on_coded(void *pad, GstPadProbeInfo *info, void *data)
{
    (void)pad, (void)data;
    if (info->type & BUFFER)
        return gst_buffer_get_size(info->data) ? OK : DROP;
    const void *what = gst_event_get_structure(info->data);
    if (!what || !gst_structure_has_name(what, "GstEventGap"))
        return OK;
    uint64_t at_ns, duration_ns;
    gst_event_parse_gap(info->data, &at_ns, &duration_ns);
    return duration_ns < LEAST_GAP_NS ? DROP : OK;
}

/* What goes into an Opus decoder through this pad. */
EXPORT void unitd_ear_guard(void *pad)
{
    gst_pad_add_probe(pad, BUFFER | EVENT_DOWNSTREAM, on_coded, NULL, NULL);
}

/* Takes all there is, oldest first; `into` holds ROOM bytes. How many. */
EXPORT uint32_t unitd_ear_take(Ear *ear, uint8_t *into)
{
    pthread_mutex_lock(&ear->lock);
    uint32_t held = ear->held;
    for (uint32_t i = 0; i < held; i++)
        into[i] = ear->bytes[(ear->first + i) % ROOM];
    forget(ear, held);
    pthread_mutex_unlock(&ear->lock);
    return held;
}

EXPORT uint64_t unitd_ear_dropped(Ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    uint64_t dropped = ear->dropped;
    pthread_mutex_unlock(&ear->lock);
    return dropped;
}
