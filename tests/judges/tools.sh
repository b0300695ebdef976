# Sourced by the scripts that need software which is not ours. Everything is pinned and kept between runs in one folder outside the tree.
# Functions: tools_python (venv with Stripe's SDK), tools_stripe_mock (binary), tools_openapi (path of the OpenAPI document).

STRIPE_SDK_VERSION=16.1.0
STRIPE_MOCK_VERSION=v0.203.0
TOOLS=${TANDEM_TOOLS:-$HOME/.cache/tandem/tools}
mkdir -p "$TOOLS"
# No caches in the tree.
export PYTHONDONTWRITEBYTECODE=1

# Prints the python of a virtual environment that holds exactly this SDK; a newer pin gets a folder of its own.
tools_python() {
  venv="$TOOLS/stripe-sdk-$STRIPE_SDK_VERSION"
  if [ ! -e "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 &&
      "$venv/bin/pip" install --quiet --disable-pip-version-check \
        "stripe==$STRIPE_SDK_VERSION" "requests==2.32.5" >&2 &&
      touch "$venv/ready" || return 1
  fi
  printf '%s\n' "$venv/bin/python"
}

# Prints the path of Stripe's own mock server.
tools_stripe_mock() {
  bin="$TOOLS/stripe-mock-$STRIPE_MOCK_VERSION"
  [ -x "$bin/stripe-mock" ] ||
    GOBIN="$bin" go install "github.com/stripe/stripe-mock@$STRIPE_MOCK_VERSION" >&2 || return 1
  printf '%s\n' "$bin/stripe-mock"
}

# Prints the path of Stripe's OpenAPI document, which the same Go module carries.
tools_openapi() {
  kept="$TOOLS/stripe-openapi-$STRIPE_MOCK_VERSION.json"
  if [ ! -e "$kept" ]; then
    folder=$(go mod download -json "github.com/stripe/stripe-mock@$STRIPE_MOCK_VERSION" |
      sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
    [ -n "$folder" ] && cp "$folder/embedded/openapi/spec3.json" "$kept.part" &&
      chmod u+w "$kept.part" && mv "$kept.part" "$kept" || return 1
  fi
  printf '%s\n' "$kept"
}
