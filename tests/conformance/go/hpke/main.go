// Seal and open by Go's own HPKE (crypto/hpke, RFC 9180), for test_hpke.py.
package main

import (
	"bufio"
	"crypto/hpke"
	"encoding/json"
	"os"
)

// question is one line of input: open what Sealed holds, or seal Plain; bytes are in base64.
type question struct {
	Ask    string
	Key    []byte
	Info   []byte
	Sealed []byte
	Plain  []byte
}

// answer is one line of output.
type answer struct {
	Bytes []byte
	Error string
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		var told answer
		made, err := reply(asked)
		if err != nil {
			told.Error = err.Error()
		}
		told.Bytes = made
		if err := out.Encode(told); err != nil {
			panic(err)
		}
	}
}

func reply(asked question) ([]byte, error) {
	kem, err := hpke.NewKEM(0x0020)
	if err != nil {
		return nil, err
	}
	kdf, aead := hpke.HKDFSHA256(), hpke.ChaCha20Poly1305()
	if asked.Ask == "seal" {
		key, err := kem.NewPublicKey(asked.Key)
		if err != nil {
			return nil, err
		}
		return hpke.Seal(key, kdf, aead, asked.Info, asked.Plain)
	}
	key, err := kem.NewPrivateKey(asked.Key)
	if err != nil {
		return nil, err
	}
	return hpke.Open(key, kdf, aead, asked.Info, asked.Sealed)
}
