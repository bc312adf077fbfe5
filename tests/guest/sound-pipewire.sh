#!/bin/bash
# host: --with pipewire-pulse --with wireplumber
# Sound, with PipeWire in PulseAudio's place.
server=pipewire
. tests/guest/sound.sh
