/* What a program of the VM may ask of a stream that it wants made. */
#ifndef SOUND_STREAM_H
#define SOUND_STREAM_H

#include "sound/tags.h"

/* Whether one may be made as it is asked for. The values behind the tag of CREATE_PLAYBACK_STREAM or
 * CREATE_RECORD_STREAM, as they have been rewritten. */
bool sound_stream_is_plain(struct tags arguments, bool record);

#endif
