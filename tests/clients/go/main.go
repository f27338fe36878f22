// Go's MySQL driver, as Debian packages it, against one instance.
// Usage: main HANDOVER, the file that the Python side writes. Prints one line of JSON a case.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

type handover struct {
	CaFile   string `json:"ca_file"`
	Instance struct {
		Host     string `json:"host"`
		Port     int    `json:"port"`
		User     string `json:"user"`
		Password string `json:"password"`
		Database string `json:"database"`
	} `json:"instance"`
}

func (h handover) config() *mysql.Config {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = fmt.Sprintf("%s:%d", h.Instance.Host, h.Instance.Port)
	config.User = h.Instance.User
	config.Passwd = h.Instance.Password
	config.DBName = h.Instance.Database
	config.Timeout = 10 * time.Second
	config.ReadTimeout = 60 * time.Second
	return config
}

func open(config *mysql.Config) (*sql.DB, error) {
	return sql.Open("mysql", config.FormatDSN())
}

func number(err error) uint16 {
	var found *mysql.MySQLError
	if errors.As(err, &found) {
		return found.Number
	}
	return 0
}

// scenario creates, writes, reads, prepares and rolls back.
func scenario(config *mysql.Config, table string) error {
	db, err := open(config)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err = db.Exec("CREATE TABLE " + table + " (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DECIMAL(9,2))"); err != nil {
		return err
	}
	defer db.Exec("DROP TABLE " + table)
	result, err := db.Exec("INSERT INTO "+table+" (name, price) VALUES (?, ?), (?, ?)", "pen", 1.5, "墨水", 12.25)
	if err != nil {
		return err
	}
	if rows, _ := result.RowsAffected(); rows != 2 {
		return fmt.Errorf("%d rows affected", rows)
	}
	prepared, err := db.Prepare("SELECT id FROM " + table + " WHERE name = ?")
	if err != nil {
		return err
	}
	defer prepared.Close()
	for round := 0; round < 50; round++ {
		var id int
		if err = prepared.QueryRow("墨水").Scan(&id); err != nil || id != 2 {
			return fmt.Errorf("id %d: %v", id, err)
		}
	}
	transaction, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err = transaction.Exec("UPDATE " + table + " SET price = 0"); err != nil {
		return err
	}
	if err = transaction.Rollback(); err != nil {
		return err
	}
	var total string
	if err = db.QueryRow("SELECT SUM(price) FROM " + table).Scan(&total); err != nil || total != "13.75" {
		return fmt.Errorf("total %q: %v", total, err)
	}
	return nil
}

func pool(config *mysql.Config) error {
	db, err := open(config)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(8)
	var group sync.WaitGroup
	failures := make(chan error, 100)
	for n := 0; n < 100; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			var answer int
			if err := db.QueryRow("SELECT ? + 1", n).Scan(&answer); err != nil || answer != n+1 {
				failures <- fmt.Errorf("%d gave %d: %v", n, answer, err)
			}
		}(n)
	}
	group.Wait()
	close(failures)
	return <-failures
}

func manyResults(config *mysql.Config) error {
	config.MultiStatements = true
	db, err := open(config)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query("SELECT 1; SELECT 2; SELECT 3")
	if err != nil {
		return err
	}
	defer rows.Close()
	for expected := 1; expected <= 3; expected++ {
		var found int
		if !rows.Next() || rows.Scan(&found) != nil || found != expected {
			return fmt.Errorf("result %d gave %d", expected, found)
		}
		if more := rows.NextResultSet(); more != (expected < 3) {
			return fmt.Errorf("after result %d more is %v", expected, more)
		}
	}
	return rows.Err()
}

func loadData(config *mysql.Config, table string) error {
	db, err := open(config)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err = db.Exec("CREATE TABLE " + table + " (id INT)"); err != nil {
		return err
	}
	defer db.Exec("DROP TABLE " + table)
	var text strings.Builder
	for n := 0; n < 50000; n++ {
		fmt.Fprintln(&text, n)
	}
	mysql.RegisterReaderHandler("rows", func() io.Reader { return strings.NewReader(text.String()) })
	result, err := db.Exec("LOAD DATA LOCAL INFILE 'Reader::rows' INTO TABLE " + table)
	if err != nil {
		return err
	}
	if rows, _ := result.RowsAffected(); rows != 50000 {
		return fmt.Errorf("%d rows", rows)
	}
	return nil
}

func cancelled(config *mysql.Config) error {
	db, err := open(config)
	if err != nil {
		return err
	}
	defer db.Close()
	deadline, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err = db.ExecContext(deadline, "DO SLEEP(30)"); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		return fmt.Errorf("took %v", took)
	}
	return db.Ping()
}

func refused(config *mysql.Config, expected uint16) error {
	db, err := open(config)
	if err != nil {
		return err
	}
	defer db.Close()
	if err = db.Ping(); number(err) != expected {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

func main() {
	var h handover
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil {
		panic(err)
	}
	authority, err := os.ReadFile(h.CaFile)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	mysql.RegisterTLSConfig("verified", &tls.Config{RootCAs: roots, ServerName: h.Instance.Host})

	cases := []struct {
		name string
		run  func(*mysql.Config) error
	}{
		{"plain", func(c *mysql.Config) error { return scenario(c, "go_plain") }},
		{"tls", func(c *mysql.Config) error { c.TLSConfig = "verified"; return scenario(c, "go_tls") }},
		{"interpolated", func(c *mysql.Config) error { c.InterpolateParams = true; return scenario(c, "go_text") }},
		{"pool", pool},
		{"many-results", manyResults},
		{"load-data", func(c *mysql.Config) error { return loadData(c, "go_load") }},
		{"cancelled", cancelled},
		{"wrong-password", func(c *mysql.Config) error { c.Passwd = "wrong"; return refused(c, 1045) }},
		{"unknown-database", func(c *mysql.Config) error { c.DBName = "nowhere"; return refused(c, 1044) }},
	}
	encoder := json.NewEncoder(os.Stdout)
	for _, each := range cases {
		outcome := map[string]any{"name": each.name, "ok": true}
		if err := each.run(h.config()); err != nil {
			outcome["ok"], outcome["error"] = false, err.Error()
		}
		encoder.Encode(outcome)
	}
}
