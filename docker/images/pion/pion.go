// SPDX-License-Identifier: BSD-3-Clause

// pion.go - calls between two peers of pion's WebRTC that may use only the relay, for the scenario clients: cases.py
// there describes the files that it reads and writes.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/pion/webrtc/v3"
)

const (
	handed  = "/var/lib/handed-over/"
	chunk   = 1024
	seconds = 60
)

type givenCase struct {
	Case     string   `json:"case"`
	URIs     []string `json:"uris"`
	Username string   `json:"username"`
	Password string   `json:"password"`
}

type seen struct {
	Case    string `json:"case"`
	There   []byte `json:"there,omitempty"`
	Back    []byte `json:"back,omitempty"`
	Path    string `json:"path,omitempty"`
	Refused string `json:"refused,omitempty"`
	Failed  string `json:"failed,omitempty"`
}

var version = "of unknown version" // the linker writes it

var errNoRelay = errors.New("no relay candidate")

// describe sets a local description and waits until all candidates are in it
func describe(peer *webrtc.PeerConnection, description webrtc.SessionDescription) error {
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(description); err != nil {
		return err
	}
	<-gathered
	if !strings.Contains(peer.LocalDescription().SDP, " typ relay") {
		return errNoRelay
	}
	return nil
}

func connect(a, b *webrtc.PeerConnection) error {
	offer, err := a.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err = describe(a, offer); err != nil {
		return err
	}
	if err = b.SetRemoteDescription(*a.LocalDescription()); err != nil {
		return err
	}
	answer, err := b.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err = describe(b, answer); err != nil {
		return err
	}
	return a.SetRemoteDescription(*b.LocalDescription())
}

func path(peer *webrtc.PeerConnection) string {
	pair, err := peer.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return "unknown"
	}
	return fmt.Sprintf("%s/%s", pair.Local.Typ, pair.Remote.Typ)
}

func call(given givenCase, payload []byte, result *seen) error {
	config := webrtc.Configuration{
		ICEServers:         []webrtc.ICEServer{{URLs: given.URIs, Username: given.Username, Credential: given.Password}},
		ICETransportPolicy: webrtc.ICETransportPolicyRelay,
	}
	var peers [2]*webrtc.PeerConnection
	for i := range peers {
		peer, err := webrtc.NewPeerConnection(config)
		if err != nil {
			return err
		}
		defer peer.Close()
		peers[i] = peer
	}
	channel, err := peers[0].CreateDataChannel("data", nil)
	if err != nil {
		return err
	}
	over := make(chan []byte, 1)
	there := make(chan []byte, len(payload)/chunk+1)
	channel.OnOpen(func() {
		for i := 0; i < len(payload); i += chunk {
			if err := channel.Send(payload[i : i+chunk]); err != nil {
				log.Print(err)
			}
		}
	})
	var back []byte
	channel.OnMessage(func(message webrtc.DataChannelMessage) {
		if back = append(back, message.Data...); len(back) >= len(payload) {
			over <- back
		}
	})
	peers[1].OnDataChannel(func(other *webrtc.DataChannel) {
		other.OnMessage(func(message webrtc.DataChannelMessage) {
			there <- message.Data
			if err := other.Send(message.Data); err != nil {
				log.Print(err)
			}
		})
	})
	if err := connect(peers[0], peers[1]); err != nil {
		return err
	}
	select {
	case result.Back = <-over:
	case <-time.After(seconds * time.Second):
		return errors.New("nothing came back in time")
	}
	for len(there) > 0 {
		result.There = append(result.There, <-there...)
	}
	result.Path = path(peers[0])
	return nil
}

func main() {
	payload, err := os.ReadFile(handed + "payload")
	if err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(handed + "pion.json")
	if err != nil {
		log.Fatal(err)
	}
	var cases []givenCase
	if err = json.Unmarshal(text, &cases); err != nil {
		log.Fatal(err)
	}
	out, err := os.Create(handed + "pion.out")
	if err != nil {
		log.Fatal(err)
	}
	defer out.Close()
	for _, given := range cases {
		result := seen{Case: given.Case}
		if err := call(given, payload, &result); errors.Is(err, errNoRelay) {
			result.Refused = err.Error()
		} else if err != nil {
			result.Failed = err.Error()
		}
		log.Print(given.Case, " ", result.Path, result.Refused, result.Failed)
		if err := json.NewEncoder(out).Encode(result); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("pion webrtc", version)
}
