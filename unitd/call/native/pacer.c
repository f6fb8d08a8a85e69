/* When a picture's packets may leave: a leaky bucket in C, for it is asked 425 times a second at 4 Mbit/s. What the rate
 * is, is Python's to say (congestion/pacer.py).
 *
 * The payloader gives the packets of a picture as a list, and the elements behind it (a filter of caps, a gate) would
 * take it apart. So what may leave is handed on past them, and the RTP session, the encryption and the socket see lists.
 *
 * The object is counted: each pad holds one of its own, so it does not matter who goes first.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
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

/* ---- the way of the packets ---------------------------------------------------------------------------------------- */

typedef struct {
    Pacer *pacer;
    void *onwards;
} Way;

/* Waits until this packet may leave, but not while there is something before it that may: -1 then, else whether it is
 * to be let go. `*mark` is set for a picture's first. */
static int is_let_go(Pacer *pacer, void *packet, int has_before, int *is_counted, int *mark, uint8_t *bytes)
{
    uint64_t pts_ns = ((GstBufferHead *)packet)->pts;
    int is_stale = 0;
    pthread_mutex_lock(&pacer->lock);
    if (pacer->is_open && !(is_stale = pts_ns < pacer->stale_before_ns)) {
        if (!*is_counted)
            pacer->leaves_s = due_s(pacer, gst_buffer_get_size(packet), now_s());
        *is_counted = 1;
        while (pacer->is_open && !(is_stale = pts_ns < pacer->stale_before_ns) &&
               pacer->leaves_s - now_s() > pacer->least_sleep_s) {
            if (has_before) {
                pthread_mutex_unlock(&pacer->lock);
                return -1;
            }
            sleep_unlocked(pacer, pacer->leaves_s - now_s());
        }
        is_stale = is_stale && pacer->is_open;
        if (!is_stale && pacer->marked_pts_ns != pts_ns) {
            *mark = pacer->mark;
            memcpy(bytes, pacer->mark_bytes, sizeof pacer->mark_bytes);
            pacer->marked_pts_ns = pts_ns;
        }
    }
    pthread_mutex_unlock(&pacer->lock);
    return is_stale;
}

static int push(void *onwards, void **packets, unsigned count)
{
    if (count == 0)
        return FLOW_OK;
    if (count == 1)
        return gst_pad_chain(onwards, packets[0]);
    void *list = gst_buffer_list_new_sized(count);
    for (unsigned i = 0; i < count; i++)
        gst_buffer_list_insert(list, -1, packets[i]);
    return gst_pad_chain_list(onwards, list);
}

/* Packets that may leave together go together: each step of the way is taken once for all of them. They are ours. */
static int send(Way *way, void **packets, unsigned count)
{
    unsigned first = 0, last = 0; /* those in between may leave */
    int flow = FLOW_OK;
    for (unsigned i = 0; i < count; i++) {
        int is_counted = 0, mark = 0, go;
        uint8_t bytes[3];
        while (flow == FLOW_OK && (go = is_let_go(way->pacer, packets[i], first < last, &is_counted, &mark, bytes)) < 0) {
            flow = push(way->onwards, packets + first, last - first);
            first = last;
        }
        if (flow != FLOW_OK || go)
            gst_mini_object_unref(packets[i]);
        else
            packets[last++] = mark ? marked(packets[i], mark, bytes) : packets[i];
    }
    if (flow == FLOW_OK)
        return push(way->onwards, packets + first, last - first);
    return flow;
}

static int on_packets(void *pad, GstPadProbeInfo *info, void *data)
{
    Way *way = data;
    (void)pad;
    pthread_mutex_lock(&way->pacer->lock);
    int is_open = way->pacer->is_open;
    pthread_mutex_unlock(&way->pacer->lock);
    if (!is_open)
        return OK;
    if (info->type & BUFFER) {
        info->more.flow = send(way, &info->data, 1);
        return HANDLED;
    }
    unsigned count = gst_buffer_list_length(info->data);
    void **packets = malloc(count * sizeof *packets);
    if (!packets)
        return DROP;
    for (unsigned i = 0; i < count; i++)
        packets[i] = gst_mini_object_ref(gst_buffer_list_get(info->data, i));
    gst_mini_object_unref(info->data); /* nobody else holds them now, and none is copied on the way */
    info->more.flow = send(way, packets, count);
    free(packets);
    return HANDLED;
}

static void end_of_way(void *data)
{
    Way *way = data;
    gst_object_unref(way->onwards);
    unitd_pacer_free(way->pacer);
    free(way);
}

/* Packets that come to the pad `packets` go to the pad `onwards` at once, past what lies between; while shut they go as
 * they are linked. */
EXPORT void unitd_pacer_watch(Pacer *pacer, void *pictures, void *packets, void *onwards)
{
    Way *way = calloc(1, sizeof *way);
    if (!way)
        return;
    *way = (Way){pacer, gst_object_ref(onwards)};
    atomic_fetch_add(&pacer->count, 2);
    gst_pad_add_probe(pictures, BUFFER, on_picture, pacer, unitd_pacer_free);
    gst_pad_add_probe(packets, BUFFER | BUFFER_LIST, on_packets, way, end_of_way);
}
