#!/bin/sh
# Start a service or a job of any language: `sh …/runtime/entry.sh OPTIONS -- COMMAND …`, as entry.py does for Python.
#
#   --bundle FILE    lines KEY='value', each quote within as '\'', each to be exported; `-` is stdin
#   --port N         where the service listens; set as PORT, unless PORT is set already
#   --drain SECONDS  with --port: SIGTERM reaches the command when no connection to its port has been open for a
#                    second, and after SECONDS at the latest; a second SIGTERM reaches it at once
#   --tag TEXT       the process table is searched for it, so this process stays, as the parent of the command
#   --service NAME   ignored; the process table is searched for it, too
#
# The command gets the values in its environment, so /proc/PID/environ shows them to root and to its own user. With
# --drain or --tag it runs in the background, where a shell lets programs start with SIGINT and SIGQUIT ignored: those
# signals reach a program that handles them, and no other. It needs no program but `sleep`.

fail() {
    printf 'error: %s\n' "$2" >&2
    exit "$1"
}

fill() { # from stdin; what is quoted in the documented form is never executed
    text='' end='
'
    while IFS= read -r line || [ -n "$line" ]; do text=$text$line$end; done
    case $text in
        '' | [A-Z]*=\'*\'"$end") ;;
        *) fail 78 "the bundle is not lines of KEY='value'" ;;
    esac
    set -a
    eval "$text"
    set +a
    unset text line
}

start() {
    ulimit -c 0 # no core on disk
    case $bundle in
        '') ;;
        -) fill ;;
        *)
            [ -r "$bundle" ] || fail 78 "the bundle $bundle cannot be read"
            fill <"$bundle"
            ;;
    esac
    [ -z "$port" ] || [ -n "${PORT+set}" ] || export PORT="$port"
    command -v "$1" >/dev/null || fail 127 "the command $1 is not found"
    exec "$@"
}

connected() { # state 01 is ESTABLISHED
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        rows=$(<"$table") # for bash, whose `read` takes minutes for thousands of rows; most others give nothing
        case $rows in
            *":$hex "????????:????" 01 "* | *":$hex "????????????????????????????????:????" 01 "*) return 0 ;;
            ?*) continue ;;
        esac
        while read -r _ local _ state _; do
            case $local:$state in *:"$hex":01) return 0 ;; esac
        done <"$table"
    done
    return 1
}

clock() { # now, in hundredths of a second
    read -r up _ </proc/uptime
    now=$((${up%.*} * 100 + 1${up#*.} - 100))
}

wait_until_drained() {
    clock
    drained_from=$now busy_at=$now hex=$(printf %04X "$port")
    while [ $((now - busy_at)) -lt 100 ] && [ $((now - drained_from)) -lt $((seconds * 100)) ]; do
        sleep 0.05 2>/dev/null || sleep 1
        clock
        ! connected || busy_at=$now
    done
}

drain() {
    if [ -r /proc/net/tcp ]; then wait_until_drained; else sleep 1; fi
    kill -s TERM "$child"
}

first_request() {
    if [ -z "$seconds" ]; then
        kill -s TERM "$child"
        return
    fi
    trap second_request TERM
    drain &
    drainer=$!
}

second_request() {
    kill "$drainer" 2>/dev/null
    kill -s TERM "$child"
}

bundle='' port='' seconds='' tag=''
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
        --bundle) bundle=$2 ;;
        --port) port=$2 ;;
        --drain) seconds=$2 ;;
        --tag) tag=$2 ;;
        --service) ;;
        *) fail 64 "unknown option $1, those are --service, --bundle, --port, --drain, --tag" ;;
    esac
    shift $(($# > 1 ? 2 : 1))
done
[ $# -gt 1 ] || fail 64 'name a command after --'
shift
case $port$seconds in *[!0-9]*) fail 64 '--port and --drain take a whole number' ;; esac
[ -n "$seconds$tag" ] || start "$@"
[ -z "$seconds" ] || [ -n "$port" ] || fail 64 '--drain needs --port'

asked=''
trap 'asked=early' TERM # without it the command would outlive this process
exec 9<&0 # the shell gives what runs in the background another stdin
(start "$@") <&9 9<&- &
child=$! drainer=''
for name in INT QUIT HUP USR1 USR2; do trap "kill -s $name $child" "$name"; done
trap first_request TERM
[ -z "$asked" ] || first_request
while # a signal ends `wait`, not the child
    wait "$child" 2>/dev/null # or the shell says how it ended
    code=$?
    kill -0 "$child" 2>/dev/null
do :; done
wait "$child" 2>/dev/null
again=$? # the child's own code, where a signal ended the last `wait`; 127 where it is known already
[ "$again" = 127 ] || code=$again
[ -z "$drainer" ] || kill "$drainer" 2>/dev/null
exit "$code"
