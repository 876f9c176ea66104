#!/bin/sh
# Makes the clips of this folder anew: two seconds of a moving pattern with a visible frame counter, a key frame
# every half second. Needs ffmpeg with libvpx and libx264.
set -eu
cd "$(dirname "$0")"
pattern="testsrc=size=320x240:rate=20:duration=2"
ffmpeg -y -v error -f lavfi -i "$pattern" -c:v libvpx -b:v 150k -g 10 -auto-alt-ref 0 -deadline good pattern-vp8.ivf
ffmpeg -y -v error -f lavfi -i "$pattern" -pix_fmt yuv420p -c:v libx264 -profile:v baseline -level 3.1 -b:v 150k \
  -g 10 -bf 0 -x264-params "scenecut=0:repeat-headers=1" -f h264 pattern.h264
ffmpeg -y -v error -f lavfi -i "$pattern" -pix_fmt yuv420p -c:v libvpx-vp9 -b:v 150k -g 10 -lag-in-frames 0 \
  -auto-alt-ref 0 -deadline realtime pattern-vp9.ivf
