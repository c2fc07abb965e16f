#!/bin/sh
# A service of which two may never run: it notes its begin and its end in a folder that is kept.
trap 'echo end >>/srv/kept/log; exit' TERM
echo begin >>/srv/kept/log
while :; do sleep 0.1; done
