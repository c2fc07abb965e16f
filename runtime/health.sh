#!/bin/sh
# Whether a service is healthy: `sh …/runtime/health.sh PORT READY [ALIVE]`, exit 0 or 1, as health.py describes.
# A shell cannot open a connection, so it needs one of the programs in `ask`.

marker=/tmp/.lockstep-ready
port=$1 path=$2
[ -z "$3" ] || [ ! -e "$marker" ] || path=$3
cr=$(printf '\r') lf='
'
request="GET $path HTTP/1.0$cr${lf}Host: localhost$cr$lf$cr$lf"
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

ask() { # of $tool: print status line, headers and body, or why there are none
    case $tool in
        curl) curl -q -s -S -i -0 -m 4 -H 'Host: localhost' "http://127.0.0.1:$port$path" ;;
        wget)
            case $(wget --help 2>&1) in # not every BusyBox survives -T
                *--max-redirect*) set -- -T 4 -t 1 --max-redirect=0 ;;
                *'-T SEC'*) set -- -T 4 ;;
                *) set -- ;;
            esac
            wget "$@" -q -S -O - --header 'Host: localhost' "http://127.0.0.1:$port$path"
            ;;
        perl) perl -MSocket -e '$SIG{ALRM} = sub { die "timed out\n" }; alarm 4; $| = 1;
            socket S, PF_INET, SOCK_STREAM, 0; connect S, sockaddr_in($ARGV[0], INADDR_LOOPBACK) or die "$!\n";
            syswrite S, $ARGV[1]; print while sysread S, $_, 65536' "$port" "$request" ;;
        bash) bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" || exit; printf %s "$2" >&3
            IFS= read -r -t 4 -d "" answer <&3; printf %s "$answer"' bash "$port" "$request" ;;
        node) node -e 'const s = require("net").connect(process.argv[1], "127.0.0.1");
            s.on("error", e => console.log(e.message)).on("close", () => process.exit()).pipe(process.stdout);
            s.write(process.argv[2]); setTimeout(() => process.exit(), 4000)' "$port" "$request" ;;
        ruby) ruby -rsocket -e '$stdout.sync = true; Thread.new { sleep 4; exit! }
            s = TCPSocket.new("127.0.0.1", ARGV[0]); s.write ARGV[1]; IO.copy_stream s, $stdout' "$port" "$request" ;;
        php) php -r '$s = @fsockopen("127.0.0.1", $argv[1], $n, $error, 4) or die($error);
            stream_set_timeout($s, 4); fwrite($s, $argv[2]); fpassthru($s);' -- "$port" "$request" ;;
    esac 2>&1
}

for tool in curl wget perl bash python3 node ruby php none; do # the cheapest first
    ! command -v "$tool" >/dev/null || break
done
case $tool in
    python3) exec python3 -IS "${0%/*}/health.py" "$@" ;;
    none)
        echo "no program to ask with: the image needs curl, wget, perl, bash, python3, node, ruby or php"
        exit 1
        ;;
esac

answer=$(ask)
case $answer in
    *HTTP/?.?\ [1-5]??*) code=${answer#*HTTP/?.? } code=${code%%[!0-9]*} ;;
    *) code=nothing ;;
esac
case $answer in
    *"$cr$lf$cr$lf"*) body=${answer#*"$cr$lf$cr$lf"} ;;
    *) # wget indents the headers
        body=$answer$lf
        while case $body in '  '*) ;; *) false ;; esac do body=${body#*"$lf"}; done
        ;;
esac
set -f
set -- $body # split at white space, and joined to one line
line=$* ten='??????????'
while [ ${#line} -gt 400 ]; do line=${line#$ten$ten$ten$ten$ten$ten$ten$ten$ten$ten}; done
case $code in
    [23]??)
        : 2>/dev/null >>"$marker"
        printf '%s\n' "$line"
        ;;
    *)
        printf '%.500s\n' "$path answered $code: $line"
        exit 1
        ;;
esac
