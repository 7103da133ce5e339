// Command touchstone-audit checks what a Touchstone shows an auditor: an export
// of its record, or the proof of one entry, with no database and no network. It
// is touchstone audit verify by itself, small enough to read whole.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

type cli struct {
	File        string   `arg:"" help:"Export (JSON Lines) or proof."`
	Key         string   `required:"" help:"The log's key." placeholder:"KEY"`
	Checkpoint  []string `help:"File with a checkpoint that was kept elsewhere; may be given more than once." placeholder:"FILE"`
	Checkpoints string   `help:"File with the log's checkpoints, a JSON string on each line." placeholder:"FILE"`
	Witness     []string `help:"Key of a witness that must have cosigned the newest checkpoint." placeholder:"KEY"`
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("touchstone-audit"), kong.Description("Checks a Touchstone's record offline."))
	err := record.VerifyFile(os.Stdout, record.VerifyOptions{File: c.File, Key: c.Key, Checkpoints: c.Checkpoint, AllCheckpoints: c.Checkpoints, Witnesses: c.Witness})
	if err != nil {
		fmt.Fprintln(os.Stderr, "touchstone-audit:", err)
		os.Exit(1)
	}
}
