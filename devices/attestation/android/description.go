package android

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// oidDescription is the extension with a KeyDescription
// (source.android.com/docs/security/features/keystore/attestation).
var oidDescription = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}

// keyDescription is a KeyDescription. Nothing may follow its last field.
type keyDescription struct {
	AttestationVersion int
	AttestationLevel   asn1.Enumerated
	KeyMintVersion     int
	KeyMintLevel       asn1.Enumerated
	Challenge          []byte
	UniqueID           []byte
	Software           asn1.RawValue
	Hardware           asn1.RawValue
}

// A SecurityLevel.
const (
	levelTEE       = 1
	levelStrongBox = 2
)

// rootOfTrust is a RootOfTrust; the hash is there since version 3.
type rootOfTrust struct {
	VerifiedBootKey   []byte
	DeviceLocked      bool
	VerifiedBootState asn1.Enumerated
	VerifiedBootHash  []byte `asn1:"optional"`
}

// What stands in an AuthorizationList, by its tag. What is not here is not looked
// at.
const (
	tagPurpose      = 1
	tagOrigin       = 702
	tagRootOfTrust  = 704
	tagOSVersion    = 705
	tagOSPatch      = 706
	tagSerial       = 713
	tagManufacturer = 716
	tagModel        = 717
)

// Values of fields.
const (
	purposeSign     = 2
	originGenerated = 0
	stateVerified   = 0
)

// description is what hardware says of a key and of the device it is in.
type description struct {
	keyDescription
	hardware                    map[int][]byte // contents of the hardware's AuthorizationList, by tag
	serial, manufacturer, model string         // empty: not attested
	osVersion, osPatch          int            // 0: not said
}

// descriptionOf finds the one attestation of the chain, in its leaf. Whoever has
// an attested key can sign with it what looks like a certificate with an
// attestation of another key: such a chain has two.
func descriptionOf(chain []*x509.Certificate) (*description, error) {
	var found []byte
	for i, c := range chain {
		for _, e := range c.Extensions {
			switch {
			case !e.Id.Equal(oidDescription):
			case i > 0:
				return nil, bad("certificate %d, which is not the leaf, has an attestation", i)
			default:
				found = e.Value
			}
		}
	}
	if found == nil {
		return nil, bad("the leaf has no attestation")
	}
	return parseDescription(found)
}

func parseDescription(der []byte) (*description, error) {
	d := new(description)
	if err := unmarshal(der, &d.keyDescription); err != nil {
		return nil, bad("read attestation: %w", err)
	}
	if _, err := parseList(&d.Software); err != nil {
		return nil, bad("read attestation, what software says: %w", err)
	}
	var err error
	if d.hardware, err = parseList(&d.Hardware); err != nil {
		return nil, bad("read attestation, what hardware says: %w", err)
	}
	for _, id := range []struct {
		what string
		tag  int
		to   *string
	}{{"serial number", tagSerial, &d.serial}, {"manufacturer", tagManufacturer, &d.manufacturer}, {"model", tagModel, &d.model}} {
		der, ok := d.hardware[id.tag]
		if !ok {
			continue
		}
		var value []byte
		if err := unmarshal(der, &value); err != nil {
			return nil, bad("read attestation, %s: %w", id.what, err)
		}
		if *id.to, err = text(id.what, value); err != nil {
			return nil, err
		}
	}
	for tag, to := range map[int]*int{tagOSVersion: &d.osVersion, tagOSPatch: &d.osPatch} {
		if der, ok := d.hardware[tag]; ok {
			if err := unmarshal(der, to); err != nil {
				return nil, bad("read attestation, tag %d: %w", tag, err)
			}
		}
	}
	return d, nil
}

// parseList reads an AuthorizationList: what each tag holds, in DER. A tag twice
// would be one thing to us and another to somebody else.
func parseList(list *asn1.RawValue) (map[int][]byte, error) {
	if list.Class != asn1.ClassUniversal || list.Tag != asn1.TagSequence || !list.IsCompound {
		return nil, fmt.Errorf("tag %d of class %d in place of a sequence", list.Tag, list.Class)
	}
	fields := map[int][]byte{}
	for rest := list.Bytes; len(rest) > 0; {
		var field asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &field); err != nil {
			return nil, err
		}
		if field.Class != asn1.ClassContextSpecific || !field.IsCompound {
			return nil, fmt.Errorf("field of tag %d and class %d", field.Tag, field.Class)
		}
		if _, twice := fields[field.Tag]; twice {
			return nil, fmt.Errorf("tag %d twice", field.Tag)
		}
		fields[field.Tag] = field.Bytes
	}
	return fields, nil
}

// unmarshal reads DER that nothing follows.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow", len(rest))
	}
	return err
}

// check refuses a key that is not one of secure hardware, or is for another
// nonce, and a device in which such hardware proves nothing.
func (d *description) check(nonce []byte) error {
	switch {
	case len(nonce) == 0:
		return bad("no nonce to compare with")
	case !bytes.Equal(d.Challenge, nonce):
		return bad("the attestation was made for another nonce")
	}
	if l := d.AttestationLevel; l != levelTEE && l != levelStrongBox {
		return bad("the attestation is of security level %d; 1 (trusted environment) and 2 (StrongBox) are taken", l)
	}
	if l := d.KeyMintLevel; l != levelTEE && l != levelStrongBox {
		return bad("the key is of security level %d; 1 (trusted environment) and 2 (StrongBox) are taken", l)
	}
	if err := d.checkKey(); err != nil {
		return err
	}
	der, ok := d.hardware[tagRootOfTrust]
	if !ok {
		return bad("the hardware does not say how the device started")
	}
	var root rootOfTrust
	if err := unmarshal(der, &root); err != nil {
		return bad("read how the device started: %w", err)
	}
	switch {
	case !root.DeviceLocked:
		return bad("the device's bootloader is unlocked")
	case root.VerifiedBootState != stateVerified:
		return bad("the device's verified boot is in state %d; 0 (verified) is taken", root.VerifiedBootState)
	}
	return nil
}

// checkKey refuses a key that could be elsewhere too, or that is not for signing.
func (d *description) checkKey() error {
	origin := -1
	if der, ok := d.hardware[tagOrigin]; ok {
		if err := unmarshal(der, &origin); err != nil {
			return bad("read origin of the key: %w", err)
		}
	}
	if origin != originGenerated {
		return bad("the key is of origin %d; 0 (generated) is taken", origin)
	}
	var purposes []int
	if der, ok := d.hardware[tagPurpose]; ok {
		if err := unmarshalSet(der, &purposes); err != nil {
			return bad("read purposes of the key: %w", err)
		}
	}
	for _, p := range purposes {
		if p == purposeSign {
			return nil
		}
	}
	return bad("the key is not for signing")
}

// unmarshalSet reads a SET OF INTEGER.
func unmarshalSet(der []byte, into *[]int) error {
	rest, err := asn1.UnmarshalWithParams(der, into, "set")
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow", len(rest))
	}
	return err
}

// version is that of Android, such as "16.0.0 (2025-11)"; empty: not said. The
// hardware writes 160000 and 202511.
func (d *description) version() string {
	switch v, p := d.osVersion, d.osPatch; {
	case v <= 0 || v > 999999:
		return ""
	case p < 200001 || p > 999912:
		return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100)
	default:
		return fmt.Sprintf("%d.%d.%d (%d-%02d)", v/10000, v/100%100, v%100, p/100, p%100)
	}
}
