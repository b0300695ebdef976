# Sourced by scripts/conformance and tests/deployed/stack.sh: doubles of AWS that are not ours, pinned, kept between runs in one folder outside the tree.
# Functions: tools_java (JRE and Maven), tools_maven NAME GROUP:ARTIFACT:VERSION (prints the folder of its jars), tools_ministack (prints its
# command), free_ports N; with $work a folder: start NAME PORT COMMAND..., start_ministack NAME PORT [NAME=VALUE...], stop.

DYNAMODB_LOCAL=software.amazon.dynamodb:DynamoDBLocal:3.1.0
ELASTICMQ=org.elasticmq:elasticmq-server_2.13:1.6.12
TOOLS=${TANDEM_TOOLS:-$HOME/.cache/tandem/tools}
mkdir -p "$TOOLS"

tools_java() {
    if command -v java >/dev/null && command -v mvn >/dev/null; then
        return
    fi
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends default-jre-headless maven
}

tools_maven() {
    local coordinates=$1 group artifact version home
    IFS=: read -r group artifact version <<<"$coordinates"
    home=$TOOLS/$artifact-$version
    if [ ! -e "$home/ready" ]; then
        rm -rf "$home"
        mkdir -p "$home"
        cat >"$home/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tandem</groupId><artifactId>tools</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version>
  </dependency></dependencies>
</project>
POM
        mvn -q -B -Dstyle.color=never -f "$home/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home/lib" >&2
        touch "$home/ready"
    fi
    printf '%s\n' "$home/lib"
}

tools_ministack() {
    local venv
    venv=$(scripts/python-tools tests/conformance/requirements.txt)
    printf '%s\n' "$venv/bin/ministack"
}

# start NAME PORT COMMAND...: in a process group of its own, in a folder of $work, waited for until its port answers. Its log is
# $work/NAME.log.
groups=()
start() {
    local name=$1 port=$2
    shift 2
    mkdir -p "$work/$name"
    (cd "$work/$name" && exec setsid "$@" >"$work/$name.log" 2>&1 </dev/null) &
    groups+=("$!")
    local pid=$!
    for _ in $(seq 240); do
        # Over TLS with whatever certificate: only whether it answers is asked.
        if curl --silent --output /dev/null --max-time 5 "http://127.0.0.1:$port/" ||
            curl --silent --insecure --output /dev/null --max-time 5 "https://127.0.0.1:$port/"; then
            return
        fi
        if ! kill -0 "$pid" 2>/dev/null; then
            break
        fi
        sleep 0.25
    done
    echo "$name did not come up on port $port:" >&2
    tail -n 30 "$work/$name.log" >&2
    exit 1
}

# start_ministack NAME PORT [NAME=VALUE...]: with these in its environment, which its functions get too.
start_ministack() {
    local name=$1 port=$2
    shift 2
    start "$name" "$port" env BIND_HOST=127.0.0.1 "GATEWAY_PORT=$port" "AWS_ENDPOINT_URL=http://127.0.0.1:$port" "$@" "$ministack"
}

# Ends all that was started, and what outlives the process that started it, as functions do an emulator.
stop() {
    local group
    for group in "${groups[@]}"; do
        kill -- "-$group" 2>/dev/null || true
    done
    sleep 0.5
    for group in "${groups[@]}"; do
        kill -9 -- "-$group" 2>/dev/null || true
        wait "$group" 2>/dev/null || true
    done
}

free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PYTHON
}
