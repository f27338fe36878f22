#!/usr/bin/env bash
# Prints a signed URL of an API call, made by hand as the API document shows it.
#
#   curl --cacert "$ca_file" "$(examples/signed-url.sh DescribeInstances PageSize=50)"
#
# Reads the access key and the endpoint from credentials.json of the data directory.
set -euo pipefail
export LC_ALL=C

credentials=${OPENPETA_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/openpeta}/credentials.json
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" <<<"$(tr ',' '\n' <"$credentials")"; }

encode() {
  local text=$1 i c
  for ((i = 0; i < ${#text}; i++)); do
    c=${text:i:1}
    case $c in
      [A-Za-z0-9._~-]) printf '%s' "$c" ;;
      *) printf '%%%02X' "$(($(printf '%d' "'$c") & 255))" ;;
    esac
  done
}

action=${1:?usage: $0 ACTION [NAME=VALUE…]}
shift
query=$(
  for pair in "Action=$action" Version=2016-01-01 "Format=${FORMAT:-JSON}" "AccessKeyId=$(field access_key_id)" \
    SignatureMethod=HMAC-SHA1 SignatureVersion=1.0 "SignatureNonce=$(cat /proc/sys/kernel/random/uuid)" \
    "Timestamp=$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$@"; do
    printf '%s=%s\n' "$(encode "${pair%%=*}")" "$(encode "${pair#*=}")"
  done | sort -t= -k1,1 | paste -sd '&'
)
signature=$(printf 'GET&%%2F&%s' "$(encode "$query")" |
  openssl dgst -sha1 -hmac "$(field access_key_secret)&" -binary | base64)
printf '%s/?%s&Signature=%s\n' "$(field https_endpoint)" "$query" "$(encode "$signature")"
