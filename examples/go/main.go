// Calls an action with a signed POST, with nothing but the standard library:
//
//	go run main.go DescribeInstances PageSize=30
//
// Common parameters travel in the query and those of the action in the body, as the vendor's
// Go SDK sends them; the signature covers both. Reads the access key and the endpoint from
// credentials.json of the data directory.
package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type credentials struct {
	Endpoint string `json:"https_endpoint"`
	CAFile   string `json:"ca_file"`
	KeyID    string `json:"access_key_id"`
	Secret   string `json:"access_key_secret"`
}

func main() {
	log.SetFlags(0)
	form := url.Values{}
	for _, argument := range os.Args[2:] {
		name, value, _ := strings.Cut(argument, "=")
		form.Set(name, value)
	}
	status, body, err := call(os.Args[1], form)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(body)
	if status != http.StatusOK {
		os.Exit(1)
	}
}

func call(action string, form url.Values) (int, string, error) {
	own, err := load()
	if err != nil {
		return 0, "", err
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return 0, "", err
	}
	query := url.Values{}
	for name, value := range map[string]string{
		"Action":           action,
		"Version":          "2016-01-01",
		"Format":           "JSON",
		"AccessKeyId":      own.KeyID,
		"SignatureMethod":  "HMAC-SHA1",
		"SignatureType":    "",
		"SignatureVersion": "1.0",
		"SignatureNonce":   hex.EncodeToString(nonce),
		"Timestamp":        time.Now().UTC().Format("2006-01-02T15:04:05Z"),
	} {
		query.Set(name, value)
	}
	query.Set("Signature", sign(own.Secret, query, form))

	client, err := trusting(own.CAFile)
	if err != nil {
		return 0, "", err
	}
	answer, err := client.PostForm(own.Endpoint+"/?"+query.Encode(), form)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// sign makes signature version 1: HMAC-SHA1 over the method and all parameters, sorted.
func sign(secret string, parts ...url.Values) string {
	all := url.Values{}
	for _, part := range parts {
		for name := range part {
			all.Set(name, part.Get(name))
		}
	}
	// Encode sorts by name and escapes, a blank as a plus sign alone being wrong here.
	sorted := strings.ReplaceAll(all.Encode(), "+", "%20")
	text := "POST&%2F&" + strings.ReplaceAll(url.QueryEscape(sorted), "+", "%20")
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// trusting makes a client that trusts the service's own CA.
func trusting(caFile string) (*http.Client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &http.Client{Transport: transport, Timeout: time.Minute}, nil
}

func load() (own credentials, err error) {
	dir := os.Getenv("OPENPETA_DATA_DIR")
	if dir == "" {
		home, _ := os.UserHomeDir()
		data := os.Getenv("XDG_DATA_HOME")
		if data == "" {
			data = filepath.Join(home, ".local/share")
		}
		dir = filepath.Join(data, "openpeta")
	}
	text, err := os.ReadFile(filepath.Join(dir, "credentials.json"))
	if err != nil {
		return own, err
	}
	return own, json.Unmarshal(text, &own)
}
