package scram

import (
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/sasl"
)

func TestBadFirstMessages(t *testing.T) {
	for name, message := range map[string]string{
		"empty":                 "",
		"commas":                ",,,",
		"no GS2 header":         "n=user,r=abc",
		"no flag":               ",,n=user,r=abc",
		"another flag":          "x,,n=user,r=abc",
		"flag in capitals":      "N,,n=user,r=abc",
		"p without a type":      "p,,n=user,r=abc",
		"p with no type":        "p=,,n=user,r=abc",
		"n with a type":         "n=tls-exporter,,n=user,r=abc",
		"GS2 nonstandard flag":  "F,n,,n=user,r=abc",
		"authzid without a":     "n,user,n=user,r=abc",
		"empty authzid":         "n,a=,n=user,r=abc",
		"mandatory extension":   "n,,m=x,n=user,r=abc",
		"mandatory in the end":  "n,,n=user,r=abc,m=x",
		"mandatory after one":   "n,,n=user,r=abc,x=1,m=x",
		"nonce before name":     "n,,r=abc,n=user",
		"no name":               "n,,r=abc",
		"no nonce":              "n,,n=user",
		"empty nonce":           "n,,n=user,r=",
		"two names":             "n,,n=user,n=user,r=abc",
		"two nonces":            "n,,n=user,r=abc,r=abc",
		"nonce with a space":    "n,,n=user,r=a c",
		"nonce with a letter ü": "n,,n=user,r=ü",
		"nonce with a control":  "n,,n=user,r=a\x7f",
		"nonce too long":        "n,,n=user,r=" + strings.Repeat("x", maxNonceOctets+1),
		"empty extension":       "n,,n=user,r=abc,",
		"extension, no value":   "n,,n=user,r=abc,x=",
		"extension, no name":    "n,,n=user,r=abc,=1x",
		"extension, a digit":    "n,,n=user,r=abc,1=x",
		"NUL":                   "n,,n=user,r=abc,x=\x00",
		"not UTF-8":             "n,,n=user,r=abc,x=\xff",
		"too long":              "n,,n=user,r=abc,x=" + strings.Repeat("x", MaxOctets-17),
	} {
		t.Run(name, func(t *testing.T) { fails(t, fixed(plain()), message, sasl.ErrMalformed) })
	}
	answers(t, fixed(plain()), "n,,n=user,r=abc,x="+strings.Repeat("x", MaxOctets-18))
}

func TestTruncatedFirstMessages(t *testing.T) {
	nonce := strings.Index(rfcFirst, "r=") + len("r=")
	for n := range nonce + 1 { // from there on it is a message, with a shorter nonce
		fails(t, fixed(plain()), rfcFirst[:n], sasl.ErrMalformed)
	}
}

func TestBadFinalMessages(t *testing.T) {
	replace := func(old, replacement string) string { return strings.Replace(rfcFinal, old, replacement, 1) }
	proof := rfcFinal[strings.LastIndex(rfcFinal, ",")+1:]
	for name, test := range map[string]struct {
		message string
		kind    error
	}{
		"wrong proof":             {replace("p=dH", "p=eH"), sasl.ErrFailed},
		"wrong end of proof":      {replace("ndVQ=", "ndVU="), sasl.ErrFailed},
		"other GS2 header":        {replace("c=biws", "c=eSws"), sasl.ErrFailed},
		"binding from nowhere":    {replace("c=biws", "c=biwsAAAA"), sasl.ErrFailed},
		"no GS2 header":           {replace("c=biws", "c="), sasl.ErrFailed},
		"other nonce":             {replace("r=rO", "r=sO"), sasl.ErrFailed},
		"client's nonce alone":    {replace(rfcServerNonce, ""), sasl.ErrFailed},
		"nonce goes on":           {replace(rfcServerNonce, rfcServerNonce+"x"), sasl.ErrFailed},
		"unsigned extension":      {replace(",p=", ",x=1,p="), sasl.ErrFailed},
		"empty":                   {"", sasl.ErrMalformed},
		"commas":                  {",,,", sasl.ErrMalformed},
		"proof alone":             {proof, sasl.ErrMalformed},
		"no proof":                {strings.TrimSuffix(rfcFinal, ","+proof), sasl.ErrMalformed},
		"proof twice":             {rfcFinal + "," + proof, sasl.ErrMalformed},
		"extension after proof":   {rfcFinal + ",x=1", sasl.ErrMalformed},
		"comma after proof":       {rfcFinal + ",", sasl.ErrMalformed},
		"short proof":             {strings.Replace(rfcFinal, proof, "p=AAAA", 1), sasl.ErrMalformed},
		"empty proof":             {strings.Replace(rfcFinal, proof, "p=", 1), sasl.ErrMalformed},
		"long proof":              {replace("ndVQ=", "ndVQAAA="), sasl.ErrMalformed},
		"stray bits":              {replace("ndVQ=", "ndVR="), sasl.ErrMalformed},
		"no padding":              {replace("ndVQ=", "ndVQ"), sasl.ErrMalformed},
		"line end in base64":      {replace("p=dH", "p=d\nH"), sasl.ErrMalformed},
		"line end in the binding": {replace("c=biws", "c=bi\r\nws"), sasl.ErrMalformed},
		"binding no base64":       {replace("c=biws", "c=bi?s"), sasl.ErrMalformed},
		"no binding":              {replace("c=biws,", ""), sasl.ErrMalformed},
		"nonce first":             {replace("c=biws,", "") + ",c=biws", sasl.ErrMalformed},
		"mandatory extension":     {"m=x," + rfcFinal, sasl.ErrMalformed},
		"mandatory in the end":    {replace(",p=", ",m=x,p="), sasl.ErrMalformed},
		"NUL":                     {replace(",p=", ",x=\x00,p="), sasl.ErrMalformed},
		"not UTF-8":               {replace(",p=", ",x=\xff,p="), sasl.ErrMalformed},
		"too long":                {replace(",p=", ",x="+strings.Repeat("x", MaxOctets)+",p="), sasl.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			m := fixed(plain())
			answers(t, m, rfcFirst)
			fails(t, m, test.message, test.kind)
		})
	}
}

func TestTruncatedFinalMessages(t *testing.T) {
	for n := range len(rfcFinal) {
		m := fixed(plain())
		answers(t, m, rfcFirst)
		fails(t, m, rfcFinal[:n], sasl.ErrMalformed)
	}
}

// No octet of the second message, and none of the first but for letters that mean the same, can be another.
func TestChangedOctets(t *testing.T) {
	for i := range len(rfcFinal) {
		m := fixed(plain())
		answers(t, m, rfcFirst)
		changed := []byte(rfcFinal)
		changed[i] ^= 1
		if _, _, err := m.Next(changed); err == nil {
			t.Errorf("octet %d of the final message may be changed", i)
		}
	}
	for i := range len(rfcFirst) {
		m := fixed(plain())
		changed := []byte(rfcFirst)
		changed[i] ^= 1
		if _, _, err := m.Next(changed); err != nil {
			continue
		}
		if challenge, _, err := m.Next([]byte(rfcFinal)); err == nil {
			t.Errorf("octet %d of the first message may be changed: %s", i, challenge)
		}
	}
}
