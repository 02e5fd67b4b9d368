package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/tboxgate/tboxgate/gateway/metrics"
)

// handshakeResult is the metric's word for how a TLS handshake ended. Few words, so that the metric has few series.
func handshakeResult(err error) string {
	var (
		record  tls.RecordHeaderError
		alert   tls.AlertError
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		op      *net.OpError
	)
	switch {
	case err == nil:
		return metrics.HandshakeOK
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return metrics.HandshakeTimeout
	case errors.As(err, &record):
		return metrics.HandshakeNotTLS
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &invalid),
		strings.Contains(err.Error(), "client didn't provide a certificate"): // crypto/tls has no value for it
		return metrics.HandshakeClientCertificate
	case errors.As(err, &alert), errors.As(err, &op) && op.Op == "remote error":
		return metrics.HandshakeRefusedByPeer
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		return metrics.HandshakePeerClosed
	case strings.Contains(err.Error(), "unsupported versions"), strings.Contains(err.Error(), "no cipher suite"),
		strings.Contains(err.Error(), "unsupported version"):
		return metrics.HandshakeNoCommonParameters
	}
	return metrics.HandshakeOther
}

// tlsVersion is the version that a handshake agreed on, "" after a failure.
func tlsVersion(t *tls.Conn, err error) string {
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(tls.VersionName(t.ConnectionState().Version), "TLS ")
}
