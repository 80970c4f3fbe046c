package interop

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// secure is the broker's address over TLS and what the client speaks it with: AMQPS_PORT, and the files of TLS_FOLDER.
func secure(t *testing.T) (string, *tls.Config) {
	t.Helper()
	port, folder := os.Getenv("AMQPS_PORT"), os.Getenv("TLS_FOLDER")
	if port == "" || folder == "" {
		t.Skip("AMQPS_PORT and TLS_FOLDER are not set: the broker does not listen for TLS")
	}
	pem, err := os.ReadFile(filepath.Join(folder, "ca_certificate.pem"))
	check(t, err)
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		t.Fatal("no authority")
	}
	return "amqps://guest:guest@127.0.0.1:" + port + "/%2f", &tls.Config{RootCAs: authorities, ServerName: "localhost"}
}

// certificate is the client's, which the broker takes for guest's.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	folder := os.Getenv("TLS_FOLDER")
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "client_certificate.pem"), filepath.Join(folder, "client_key.pem"))
	check(t, err)
	return pair
}

func roundTrip(t *testing.T, connection *amqp.Connection, body []byte) {
	t.Helper()
	channel, err := connection.Channel()
	check(t, err)
	name := queue(t, channel, nil)
	publish(t, channel, name, amqp.Publishing{Body: body})
	if got := next(t, consume(t, channel, name, true)); !bytes.Equal(got.Body, body) {
		t.Fatalf("%d octets came back as %d", len(body), len(got.Body))
	}
}

func TestTLSBothVersionsAllSizes(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		url, config := secure(t)
		config.MinVersion, config.MaxVersion = version, version
		connection, err := amqp.DialTLS(url, config)
		check(t, err)
		for _, size := range []int{1, 16_384, 131_072, 3_000_000} {
			roundTrip(t, connection, bytes.Repeat([]byte{7}, size))
		}
		check(t, connection.Close())
	}
}

func TestTLSCertificateLogsIn(t *testing.T) {
	url, config := secure(t)
	config.Certificates = []tls.Certificate{certificate(t)}
	connection, err := amqp.DialTLS_ExternalAuth(url, config)
	check(t, err)
	roundTrip(t, connection, []byte("by certificate"))
	check(t, connection.Close())
}

func TestTLSExternalWithoutCertificateIsRefused(t *testing.T) {
	url, config := secure(t)
	_, err := amqp.DialTLS_ExternalAuth(url, config)
	var failure *amqp.Error
	if !errors.As(err, &failure) || failure.Code != amqp.AccessRefused {
		t.Fatalf("got %v", err)
	}
}

func TestTLSClientTurnsAwayFromWhatItDoesNotTrust(t *testing.T) {
	url, config := secure(t)
	config.ServerName = "other.example"
	var name x509.HostnameError
	if _, err := amqp.DialTLS(url, config); !errors.As(err, &name) {
		t.Fatalf("another name: got %v", err)
	}
	url, config = secure(t)
	config.RootCAs = x509.NewCertPool()
	var unknown x509.UnknownAuthorityError
	if _, err := amqp.DialTLS(url, config); !errors.As(err, &unknown) {
		t.Fatalf("an unknown authority: got %v", err)
	}
}
