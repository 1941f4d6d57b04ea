# The guest's virtual hardware; sourced by what tests/guest has the guest do.

# The camera: frames written to /dev/video1 come out of /dev/video0, by a cable from one to the other.
camera_up() { # WIDTH HEIGHT: a size that HDMI knows
    modprobe vivid n_devs=1 node_types=0x101 num_inputs=1 input_types=3 num_outputs=1 output_types=1 multiplanar=1
    camera_cable "$@"
}
camera_cable() {
    wait_for test -c /dev/video1
    # Out of sight until the cable is in: whoever opens it before that is shown noise, and holds the settings.
    mv /dev/video0 /dev/camera
    v4l2-ctl -d1 --set-dv-bt-timings index=0 >/dev/null &&
        v4l2-ctl -d /dev/camera --set-ctrl hdmi_000_0_is_connected_to=2 --set-ctrl osd_text_mode=2 &&
        v4l2-ctl -d /dev/camera --set-dv-bt-timings index=0 >/dev/null &&
        v4l2-ctl -d1 --set-fmt-video-out "pixelformat=YUYV,width=$1,height=$2"
    cabled=$?
    mv /dev/camera /dev/video0
    return "$cabled"
}
# Shows FILE (YUYV frames, over and over) from now on; back when it is really shown.
camera_feed() { # FILE
    camera_dark
    # From memory, eight frames ahead: where none is waiting, vivid's capture shows a pattern of its own.
    cp "$1" /tmp/feed.yuv
    : >/tmp/feed.log
    setsid v4l2-ctl -d1 --stream-out-mmap=8 --stream-from=/tmp/feed.yuv --stream-loop >/tmp/feed.log 2>&1 &
    echo $! >/tmp/feed.pid
    wait_for eval '[ "$(tr -cd ">" </tmp/feed.log | wc -c)" -ge 4 ]'
}
camera_dark() {
    [ ! -e /tmp/feed.pid ] || kill "$(cat /tmp/feed.pid)" 2>/dev/null || true
    rm -f /tmp/feed.pid
    sleep 0.2
}
camera_unplug() {
    v4l2-ctl -d0 --set-ctrl disconnect=1
    camera_dark
    echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
}
camera_plug() { # WIDTH HEIGHT
    # Somebody may have been quicker.
    for try in 1 2 3 4 5; do
        echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
        camera_cable "$@" && return 0
        echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
    done
    return 1
}
# A camera that shows a pattern of its own in place of any other, as a webcam: "1" single-planar, "2" multi-planar.
webcam_up() { # PLANAR
    modprobe -r vivid 2>/dev/null || true
    modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0 multiplanar="$1"
    wait_for test -c /dev/video0
}
control() { v4l2-ctl -d0 --set-ctrl "$1"; } # NAME=VALUE
control_is() { [ "$(v4l2-ctl -d0 --get-ctrl "$1")" = "$1: $2" ]; } # NAME VALUE

# GPIO lines from 0 on by names; each is seen from outside, as a voltmeter sees it.
lines_up() { # NAME...
    modprobe gpio-sim
    bank=/sys/kernel/config/gpio-sim/door
    mkdir "$bank" "$bank/bank0"
    echo $# >"$bank/bank0/num_lines"
    n=0
    for name in "$@"; do
        mkdir "$bank/bank0/line$n"
        echo "$name" >"$bank/bank0/line$n/name"
        n=$((n + 1))
    done
    echo 1 >"$bank/live"
    ln -s "/sys/devices/platform/$(cat "$bank/dev_name")/$(cat "$bank/bank0/chip_name")" /tmp/lines
}
# A switch, as a wire would: long enough for it not to be a bounce.
pull() { # NUMBER up|down
    echo "pull-$2" >"/tmp/lines/sim_gpio$1/pull"
    sleep 0.3
}
line() { cat "/tmp/lines/sim_gpio$1/value"; } # NUMBER
line_is() { [ "$(line "$1")" = "$2" ]; } # NUMBER VALUE

# A button of the device, as a finger would.
press() { # NUMBER...
    for n in "$@"; do
        pull "$n" down
        pull "$n" up
    done
}

# Pulses of a Wiegand reader, each on the line of that number, as quick as a shell can; then a rest.
wiegand() { # NUMBER...
    for n in "$@"; do
        echo pull-down >"/tmp/lines/sim_gpio$n/pull"
        echo pull-up >"/tmp/lines/sim_gpio$n/pull"
    done
    sleep 0.3
}
# Which line was set low, and when, in microseconds of the same clock as that of `edges`.
pulses() {
    sed -n 's/.* \([0-9]*\)\.\([0-9]\{6\}\): gpio_value: \([0-9]*\) set 0$/\3 \1\2/p' /sys/kernel/tracing/trace
}

# The touch screen, which QEMU touches, as /tmp/touch.
touch_up() {
    modprobe -a virtio_input evdev 2>/dev/null || true
    wait_for touch_link
}
touch_link() {
    for event in /sys/class/input/event*; do
        if grep -q 'Virtio Tablet' "$event/device/name" && [ -c "/dev/input/${event##*/}" ]; then
            ln -sf "/dev/input/${event##*/}" /tmp/touch
            return 0
        fi
    done
    return 1
}
touch_cable() { # bind|unbind
    cd /sys/bus/virtio/drivers/virtio_input
    [ "$1" = bind ] || echo virtio*[0-9] | cut -d ' ' -f 1 >/tmp/touch.virtio
    cat /tmp/touch.virtio >"$1"
    cd - >/dev/null
}

display_up() {
    modprobe -a bochs virtio-gpu 2>/dev/null || true
    wait_for test -c /dev/fb0
}

# Waits for a command to succeed, $PATIENCE seconds at most.
wait_for() { # COMMAND...
    until=$((SECONDS + ${PATIENCE:-40}))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -le "$until" ] || {
            echo "waited in vain for: $*"
            return 1
        }
        sleep 0.2
    done
}

# From here on the kernel itself notes when a line is set. One that is let go, since its holder is gone, is not set.
watch_lines() {
    mount -t tracefs tracefs /sys/kernel/tracing
    echo mono >/sys/kernel/tracing/trace_clock
    echo 1 >/sys/kernel/tracing/events/gpio/gpio_value/enable
}
# What was set since, and when, in milliseconds of the clock that `uptime` shows.
edges() {
    sed -n 's/.* \([0-9]*\)\.\([0-9]\{3\}\)[0-9]*: gpio_value: [0-9]* set \([01]\)$/\3 \1\2/p' /sys/kernel/tracing/trace
}
