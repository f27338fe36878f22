// Hibernate of Debian (3.6) over MariaDB Connector/J: the tables it makes, entities and what belongs to them, queries in its own
// language, locks, versions, a batch, a rollback and an error.

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import org.hibernate.HibernateException;
import org.hibernate.LockMode;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.Transaction;

public class Hibernate extends HibernateSettings {
    public static class Author {
        private Integer id;
        private int version;
        private String name;
        private List<Book> books = new ArrayList<>();

        public Integer getId() { return id; }
        public void setId(Integer id) { this.id = id; }
        public int getVersion() { return version; }
        public void setVersion(int version) { this.version = version; }
        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
        public List<Book> getBooks() { return books; }
        public void setBooks(List<Book> books) { this.books = books; }
    }

    public static class Book {
        private Integer id;
        private String title;
        private BigDecimal price;
        private byte[] cover;

        public Integer getId() { return id; }
        public void setId(Integer id) { this.id = id; }
        public String getTitle() { return title; }
        public void setTitle(String title) { this.title = title; }
        public BigDecimal getPrice() { return price; }
        public void setPrice(BigDecimal price) { this.price = price; }
        public byte[] getCover() { return cover; }
        public void setCover(byte[] cover) { this.cover = cover; }
    }

    static final String CLASSES = "<class name='Hibernate$Author' table='author'><id name='id'><generator class='native'/></id><version name='version'/>"
        + "<property name='name' length='40' unique='true'/>"
        + "<list name='books' cascade='all-delete-orphan'><key column='author'/><list-index column='place'/><one-to-many class='Hibernate$Book'/></list></class>"
        + "<class name='Hibernate$Book' table='book'><id name='id'><generator class='native'/></id>"
        + "<property name='title'/><property name='price' precision='9' scale='2'/><property name='cover' type='binary' length='100000'/></class>";

    static Book book(String title, String price) {
        Book book = new Book();
        book.setTitle(title);
        book.setPrice(new BigDecimal(price));
        book.setCover(title.getBytes());
        return book;
    }

    public static void main(String[] none) {
        SessionFactory factory = configuration(CLASSES, "create-drop").buildSessionFactory();
        work(factory);
        factory.close();
    }

    static void work(SessionFactory factory) {
        Session session = factory.openSession();
        Transaction transaction = session.beginTransaction();
        for (String name : new String[] {"Lu Xun", "魯迅", "Ōe"}) {
            Author author = new Author();
            author.setName(name);
            for (int i = 1; i <= 30; i++) author.getBooks().add(book(name + " " + i, i + ".25"));
            session.save(author);
        }
        transaction.commit();
        session.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        for (Object row : session.createQuery("select a.name, count(b), sum(b.price) from Hibernate$Author a join a.books b group by a.name order by a.name").list()) {
            show((Object[]) row);
        }
        Author second = (Author) session.createQuery("from Hibernate$Author where name = :name").setString("name", "魯迅").uniqueResult();
        session.lock(second, LockMode.PESSIMISTIC_WRITE);
        second.getBooks().subList(2, 28).clear();
        second.getBooks().add(0, book("first", "100"));
        transaction.commit();
        show(second.getVersion(), second.getBooks().size(), new String(second.getBooks().get(1).getCover()));
        session.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        show(session.createQuery("update Hibernate$Book set price = price + 1 where title like 'Lu%'").executeUpdate());
        show((Object[]) session.createSQLQuery("SELECT COUNT(*), MIN(price), MAX(price) FROM book").uniqueResult());
        transaction.rollback();
        show((Object[]) session.createSQLQuery("SELECT COUNT(*), MIN(price), MAX(price) FROM book").uniqueResult());
        session.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        try {
            Author again = new Author();
            again.setName("Ōe");
            session.save(again);
            session.flush();
        } catch (HibernateException error) {
            show(error.getClass().getSimpleName(), error.getCause().getMessage().replaceFirst("^\\(conn=\\d+\\) ", ""));
        }
        transaction.rollback();
        session.close();
    }
}
