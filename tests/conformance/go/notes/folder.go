package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// files reads tiles where C2SP tlog-tiles has them: as the checksum database does, without the height in the path.
type files struct{ dir string }

func (f files) Height() int { return 8 }

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func (f files) read(tile tlog.Tile) ([]byte, error) {
	path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return os.ReadFile(filepath.Join(f.dir, strings.Replace(path, "tile/data/", "tile/entries/", 1)))
}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := f.read(tile)
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func tree(text string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("bad root: %v", err)
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}

// entries counts a published log's entries, each of which must hash to what the verified tiles hold at its place.
func entries(f files, whole tlog.Tree, reader tlog.HashReader) (int64, error) {
	var number int64
	for first := int64(0); first < whole.N; first += 256 {
		bundle, err := f.read(tlog.Tile{H: 8, L: -1, N: first / 256, W: int(min(256, whole.N-first))})
		if err != nil {
			return 0, err
		}
		for ; len(bundle) > 0; number++ {
			size := int(binary.BigEndian.Uint16(bundle))
			stored, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, number)})
			if err != nil {
				return 0, err
			}
			if stored[0] != tlog.RecordHash(bundle[2:2+size]) {
				return 0, fmt.Errorf("entry %d has another hash", number)
			}
			proof, err := tlog.ProveRecord(whole.N, number, reader)
			if err != nil {
				return 0, err
			}
			if err := tlog.CheckRecord(proof, whole.N, whole.Hash, number, stored[0]); err != nil {
				return 0, err
			}
			bundle = bundle[2+size:]
		}
	}
	if number != whole.N {
		return 0, errors.New("the bundles have another number of entries")
	}
	return number, nil
}

// folder opens a published log whose checkpoint a key has signed; it answers the number of entries and, as a proof
// that it goes on from the old size, the same path that a log would give.
func folder(q question) (any, error) {
	checkpoint, err := os.ReadFile(filepath.Join(q.Dir, "checkpoint"))
	if err != nil {
		return nil, err
	}
	q.Note = string(checkpoint)
	text, err := open(q)
	if err != nil {
		return nil, err
	}
	whole, err := tree(text.(string))
	if err != nil {
		return nil, err
	}
	f := files{q.Dir}
	reader := tlog.TileHashReader(whole, f)
	count, err := entries(f, whole, reader)
	if err != nil {
		return nil, err
	}
	path, err := tlog.ProveTree(whole.N, q.Old, reader)
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckTree(path, whole.N, whole.Hash, q.Old, q.Before); err != nil {
		return nil, err
	}
	return map[string]any{"entries": count, "path": path}, nil
}
