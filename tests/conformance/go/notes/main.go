// Command notes answers questions, a line of JSON each, with Go's own readers of signed notes and transparency logs:
// golang.org/x/mod/sumdb/note and tlog. An answer is a line: a JSON text, or null where Go refuses.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Ask    string
	Name   string
	Key    []byte // an Ed25519 public key, for "sign" its seed
	Note   string
	Dir    string
	Old    int64
	New    int64
	Leaf   tlog.Hash
	Before tlog.Hash
	After  tlog.Hash
	Path   []tlog.Hash
	Leaves []tlog.Hash
	Level  int
	Index  int64
	Width  int
}

// witness reads cosignature/v1 as C2SP tlog-cosignature describes it, and remembers the time.
type witness struct {
	name string
	key  ed25519.PublicKey
	time *uint64
}

func (w witness) Name() string { return w.name }

func (w witness) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(w.name+"\n\x04"), w.key...))
	return binary.BigEndian.Uint32(sum[:])
}

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 72 {
		return false
	}
	*w.time = binary.BigEndian.Uint64(signature)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", *w.time, text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

func open(q question) (any, error) {
	text, err := note.NewEd25519VerifierKey(q.Name, q.Key)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, err
	}
	opened, err := note.Open([]byte(q.Note), note.VerifierList(verifier))
	if err != nil {
		return nil, err
	}
	return opened.Text, nil
}

func cosigned(q question) (any, error) {
	w := witness{q.Name, q.Key, new(uint64)}
	if _, err := note.Open([]byte(q.Note), note.VerifierList(w)); err != nil {
		return nil, err
	}
	return *w.time, nil
}

func sign(q question) (any, error) {
	private := ed25519.NewKeyFromSeed(q.Key)
	public := append([]byte{1}, private.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256(append([]byte(q.Name+"\n"), public...))
	encoded := base64.StdEncoding.EncodeToString(append([]byte{1}, q.Key...))
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%x+%s", q.Name, sum[:4], encoded))
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: q.Note}, signer)
	return string(signed), err
}

func tile(q question) (any, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for number, leaf := range q.Leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(number), leaf, reader)
		if err != nil {
			return nil, err
		}
		stored = append(stored, more...)
	}
	return tlog.ReadTileData(tlog.Tile{H: 8, L: q.Level, N: q.Index, W: q.Width}, reader)
}

func answer(q question) (any, error) {
	switch q.Ask {
	case "open":
		return open(q)
	case "cosigned":
		return cosigned(q)
	case "sign":
		return sign(q)
	case "tile":
		return tile(q)
	case "inclusion":
		return true, tlog.CheckRecord(q.Path, q.New, q.After, q.Old, q.Leaf)
	case "folder":
		return folder(q)
	case "consistency":
		return true, tlog.CheckTree(q.Path, q.New, q.After, q.Old, q.Before)
	}
	return nil, fmt.Errorf("unknown question %q", q.Ask)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var q question
		reader := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		reader.DisallowUnknownFields()
		if err := reader.Decode(&q); err != nil {
			log.Fatal(err)
		}
		found, err := answer(q)
		if err != nil {
			found = nil
		}
		text, err := json.Marshal(found)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(text))
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
