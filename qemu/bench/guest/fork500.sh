#!/bin/sh
# 500 times fork and exec.
count=0
while [ $count -lt 500 ]; do
    /bin/true
    count=$((count + 1))
done
