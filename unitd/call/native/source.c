/* Frames into an appsrc. Through the bindings each costs 60 us (a buffer, its times, a signal), 75 times a second. */
#include "probe.h"

void *gst_buffer_new_memdup(const void *bytes, size_t size);
int gst_app_src_push_buffer(void *source, void *buffer);
uint64_t gst_app_src_get_current_level_bytes(void *source);

/* A copy of `bytes`, at this time; a `duration_ns` of -1 is none that is known. What GStreamer says: 0 is well. */
EXPORT int unitd_source_push(void *source, const void *bytes, size_t size, uint64_t pts_ns, uint64_t duration_ns)
{
    GstBufferHead *buffer = gst_buffer_new_memdup(bytes, size);
    buffer->pts = buffer->dts = pts_ns;
    buffer->duration = duration_ns;
    return gst_app_src_push_buffer(source, buffer);
}

EXPORT uint64_t unitd_source_waiting(void *source)
{
    return gst_app_src_get_current_level_bytes(source);
}
