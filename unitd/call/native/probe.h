/* GStreamer's stable interface (1.0), as far as the probes use it. */
#ifndef UNITD_PROBE_H
#define UNITD_PROBE_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

typedef struct {
    uint32_t type;
    unsigned long id;
    void *data;
    uint64_t offset;
    unsigned size;
    union {
        void *reserved[4];
        int flow; /* of what was HANDLED */
    } more;
} GstPadProbeInfo;
enum { DROP = 0, OK = 1, HANDLED = 4 };
enum { BUFFER = 1 << 4, BUFFER_LIST = 1 << 5, EVENT_DOWNSTREAM = 1 << 6 };
enum { FLOW_OK = 0 };
typedef int (*GstPadProbeCallback)(void *pad, GstPadProbeInfo *info, void *data);
unsigned long gst_pad_add_probe(void *pad, int mask, GstPadProbeCallback call, void *data, void (*gone)(void *));
size_t gst_buffer_extract(void *buffer, size_t offset, void *into, size_t size);
size_t gst_buffer_get_size(void *buffer);
unsigned gst_buffer_list_length(void *list);
void *gst_buffer_list_get(void *list, unsigned index);
void *gst_buffer_list_new_sized(unsigned size);
void gst_buffer_list_insert(void *list, int index, void *buffer);
int gst_pad_chain(void *pad, void *buffer);
int gst_pad_chain_list(void *pad, void *list);
void *gst_mini_object_ref(void *object);
void gst_mini_object_unref(void *object);
void *gst_object_ref(void *object);
void gst_object_unref(void *object);
const void *gst_event_get_structure(void *event);
int gst_structure_has_name(const void *structure, const char *name);
void gst_event_parse_gap(void *event, uint64_t *at_ns, uint64_t *duration_ns);

/* Of GstBuffer: a GstMiniObject, the pool, the time. */
typedef struct {
    size_t type;
    int count, lock;
    unsigned flags;
    void *copy, *dispose, *free;
    unsigned priv_uint;
    void *priv_pointer;
    void *pool;
    uint64_t pts, dts, duration;
} GstBufferHead;

#endif
