// GORM as Debian packages it, version 1, on go-sql-driver: migration, associations, transactions.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jinzhu/gorm"
	_ "github.com/jinzhu/gorm/dialects/mysql"
)

type Author struct {
	ID    uint
	Name  string `gorm:"size:60;unique_index"`
	Books []Book
}

type Book struct {
	ID       uint
	Title    string  `gorm:"size:120;index:by_title"`
	Price    float64 `gorm:"type:decimal(9,2);default:1"`
	AuthorID uint
}

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func main() {
	dsn := fmt.Sprintf("%s:%s@tcp(%s:%s)/%s?charset=utf8mb4&parseTime=True&loc=UTC", os.Getenv("TOOL_USER"), os.Getenv("TOOL_PASSWORD"),
		os.Getenv("TOOL_HOST"), os.Getenv("TOOL_PORT"), os.Getenv("TOOL_DATABASE"))
	db, err := gorm.Open("mysql", dsn)
	check(err)
	defer db.Close()
	db.LogMode(false)
	db.DB().SetMaxOpenConns(4)
	check(db.AutoMigrate(&Author{}, &Book{}).Error)
	check(db.Model(&Book{}).AddForeignKey("author_id", "authors(id)", "CASCADE", "RESTRICT").Error)
	check(db.AutoMigrate(&Author{}, &Book{}).Error)
	fmt.Println(db.HasTable("books"), db.Dialect().HasColumn("books", "price"), db.Dialect().HasIndex("books", "by_title"), db.Dialect().CurrentDatabase())
	for n := 0; n < 30; n++ {
		author := Author{Name: fmt.Sprintf("作者 %d", n), Books: []Book{{Title: "one", Price: float64(n)}, {Title: "two"}}}
		check(db.Create(&author).Error)
	}
	var authors []Author
	check(db.Preload("Books").Where("name LIKE ?", "作者 1%").Order("id").Find(&authors).Error)
	fmt.Println(len(authors), authors[0])
	fmt.Println(db.Create(&Author{Name: "作者 3"}).Error)
	transaction := db.Begin()
	check(transaction.Model(&Book{}).Update("price", 0).Error)
	check(transaction.Rollback().Error)
	var sum sql.NullFloat64
	check(db.Model(&Book{}).Select("SUM(price)").Row().Scan(&sum))
	fmt.Println(sum)
	check(db.Model(&authors[0]).Update("name", "else").Error)
	check(db.Delete(&authors[1]).Error)
	var count int
	check(db.Model(&Book{}).Where("price > ?", 5).Count(&count).Error)
	fmt.Println(count)
	first := Author{}
	fmt.Println(db.Where("name = ?", "nobody").First(&first).Error, db.Where(Author{Name: "nobody"}).FirstOrCreate(&first).Error, first.ID > 30)
	// The driver closes the connection of a statement that is given up.
	given, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err = db.DB().ExecContext(given, "DO SLEEP(600)")
	fmt.Println(err)
	check(db.DB().Ping())
	check(db.DropTable(&Book{}, &Author{}).Error)
}
