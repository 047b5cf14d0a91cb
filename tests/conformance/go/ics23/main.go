// Answers, line by line, whether cosmos/ics23 accepts a proof under its SmtSpec.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	ics23 "github.com/cosmos/ics23/go"
)

// question is one line of input; Value is left out when the absence of Key is claimed.
type question struct {
	Root  string  `json:"root"`
	Key   string  `json:"key"`
	Value *string `json:"value"`
	Proof string  `json:"proof"`
}

func unhex(text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data
}

// accepts treats a panic inside the library as a refusal: it does panic on some malformed proofs.
func accepts(root, key, value, proof []byte, absent bool) (answer bool) {
	defer func() {
		if recover() != nil {
			answer = false
		}
	}()
	var parsed ics23.CommitmentProof
	if parsed.Unmarshal(proof) != nil {
		return false
	}
	if absent {
		return ics23.VerifyNonMembership(ics23.SmtSpec, root, &parsed, key)
	}
	return ics23.VerifyMembership(ics23.SmtSpec, root, &parsed, key, value)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			panic(err)
		}
		var value []byte
		if q.Value != nil {
			value = unhex(*q.Value)
		}
		fmt.Println(accepts(unhex(q.Root), unhex(q.Key), value, unhex(q.Proof), q.Value == nil))
	}
}
