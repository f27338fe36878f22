// Go's MySQL driver, as Debian packages it, when its node dies under a statement.
// Usage: main DSN STATEMENT. Prints the error, and on a second line what a new login gives.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"
)

func main() {
	db, err := sql.Open("mysql", os.Args[1])
	if err != nil {
		panic(err)
	}
	_, err = db.Exec(os.Args[2])
	if errors.Is(err, mysql.ErrInvalidConn) {
		fmt.Println("lost")
	} else {
		fmt.Println("got", err)
	}
	// The node comes back.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if err = db.Ping(); err == nil || time.Now().After(deadline) {
			break
		}
	}
	fmt.Println("then", err)
}
