# Sourced by tests/deployed/run and tests/deployed/chaos, from the root of the repository: template.yaml on an emulator of AWS that
# asks for signatures and rights (AUTH=true). Wants $NAME, for logs. Sets $work, $tandem, $python, $STACK and more.
# Functions: begin WHAT, emulator [NAME=VALUE...], deploy [PARAMETER=VALUE...].
#
# TLS, because the template's queues refuse anything else: with a certificate of this run, trusted by functions, SDKs and curl. The
# stack is deployed, and played from outside, by an administrator whom the emulator's root makes; functions have their roles.
# Days pass by a clock that is moved (tests/deployed/clock.c), for the emulator and the functions alike.
. tests/conformance/tools.sh

STACK=tandem-deployed
built=.aws-sam/build/template.yaml
[ -e "$built" ] || {
    echo "$built is not there: run \`sam build\` first (.ci/run bootstraps does)" >&2
    exit 2
}
venv=$(scripts/python-tools)
python=$venv/bin/python
ministack=$(
    exec 9>"$TOOLS/conformance.lock"
    flock 9
    tools_ministack
)
cargo build --quiet --locked -p tandem
tandem=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/tandem
mkdir -p reports

work=$(mktemp -d)
trap 'stop; cp "$work"/*.log "$work"/*.txt reports/ 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

read -r port stripe shop <<<"$(free_ports 3)"
export AWS_DEFAULT_REGION=eu-central-1 AWS_ENDPOINT_URL=https://127.0.0.1:$port SAM_CLI_TELEMETRY=0
export SSL_CERT_FILE=$work/certificate.pem AWS_CA_BUNDLE=$work/certificate.pem CURL_CA_BUNDLE=$work/certificate.pem
case $(uname -m) in
aarch64 | arm64) architecture=arm64 ;;
*) architecture=x86_64 ;;
esac

# begin WHAT: a heading, with the seconds so far.
begin() { echo "== $1 ($SECONDS s)"; }

# emulator [NAME=VALUE...]: starts it with these in its environment, and becomes its administrator.
emulator() {
    # Its end is past all days that are skipped.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj /CN=emulator \
        -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
        -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout "$work/key.pem" -out "$work/certificate.pem" 2>"$work/openssl.log"
    cc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$work/clock.so" tests/deployed/clock.c
    echo "+0" >"$work/clock"
    start_ministack "$NAME-emulator" "$port" AUTH=true USE_SSL=1 "MINISTACK_SSL_CERT=$work/certificate.pem" \
        "MINISTACK_SSL_KEY=$work/key.pem" "AWS_ENDPOINT_URL=$AWS_ENDPOINT_URL" "LD_PRELOAD=$work/clock.so" "TANDEM_CLOCK=$work/clock" \
        IOT_MTLS_ENABLED=0 "$@"
    local keys
    keys=$(AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test "$python" tests/deployed/administrator.py)
    read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY <<<"$keys"
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
}

# deploy [PARAMETER=VALUE...]: a plain `sam deploy`, and what it made in $work/stack.json.
deploy() {
    if ! "$venv/bin/sam" deploy --template-file "$built" --stack-name "$STACK" --resolve-s3 --no-confirm-changeset \
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --parameter-overrides Architecture="$architecture" Alarms=off \
        StripeBaseUrl="http://127.0.0.1:$stripe" StripeAccount=acct_local StripeLivemode=false \
        ShopBaseUrl="http://127.0.0.1:$shop" NoticesUrl="http://127.0.0.1:$shop/notices" "$@" >"$work/$NAME-sam.log" 2>&1; then
        tail -n 40 "$work/$NAME-sam.log" >&2
        exit 1
    fi
    "$python" tests/deployed/describe.py "$STACK" "$built" "$work/clock" "$stripe" "$shop" "$work/stack.json"
}
