// Hibernate of Debian (3.6) over MariaDB Connector/J and distributed tables: it makes them, they are distributed as a migration does it, and
// it alters them; then entities and what belongs to them, its query language, locks, versions, batches, rollbacks and errors.
// TOOL_SPREAD says whether the database has several nodes.

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;
import org.hibernate.Criteria;
import org.hibernate.HibernateException;
import org.hibernate.LockMode;
import org.hibernate.ScrollableResults;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.StatelessSession;
import org.hibernate.Transaction;
import org.hibernate.criterion.Order;
import org.hibernate.criterion.Projections;
import org.hibernate.criterion.Restrictions;

public class HibernateDistributed extends HibernateSettings {
    public static class Country {
        private String code;
        private String name;

        public String getCode() { return code; }
        public void setCode(String code) { this.code = code; }
        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
    }

    public static class Author {
        private Integer id;
        private int version;
        private String name;
        private Country country;
        private List<Book> books = new ArrayList<>();

        public Integer getId() { return id; }
        public void setId(Integer id) { this.id = id; }
        public int getVersion() { return version; }
        public void setVersion(int version) { this.version = version; }
        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
        public Country getCountry() { return country; }
        public void setCountry(Country country) { this.country = country; }
        public List<Book> getBooks() { return books; }
        public void setBooks(List<Book> books) { this.books = books; }
    }

    public static class Book {
        private Long id;
        private String title;
        private BigDecimal price;
        private byte[] cover;
        private Timestamp printed;
        private Integer stock;

        public Long getId() { return id; }
        public void setId(Long id) { this.id = id; }
        public String getTitle() { return title; }
        public void setTitle(String title) { this.title = title; }
        public BigDecimal getPrice() { return price; }
        public void setPrice(BigDecimal price) { this.price = price; }
        public byte[] getCover() { return cover; }
        public void setCover(byte[] cover) { this.cover = cover; }
        public Timestamp getPrinted() { return printed; }
        public void setPrinted(Timestamp printed) { this.printed = printed; }
        public Integer getStock() { return stock; }
        public void setStock(Integer stock) { this.stock = stock; }
    }

    // No node could check a foreign key, so there are none.
    static final String CLASSES = "<class name='HibernateDistributed$Country' table='country'><id name='code' length='2'><generator class='assigned'/></id><property name='name' length='40'/></class>"
        + "<class name='HibernateDistributed$Author' table='author'><id name='id'><generator class='native'/></id><version name='version'/>"
        + "<property name='name' length='40' index='author_name'/><many-to-one name='country' column='country' foreign-key='none'/>"
        + "<list name='books' cascade='all-delete-orphan'><key column='author' foreign-key='none'/><list-index column='place'/><one-to-many class='HibernateDistributed$Book'/></list></class>"
        + "<class name='HibernateDistributed$Book' table='book'><id name='id'><generator class='native'/></id>"
        + "<property name='title'/><property name='price' precision='9' scale='2'/><property name='cover' type='binary' length='100000'/><property name='printed'/>%s</class>";

    public static void main(String[] none) throws Exception {
        configuration(String.format(CLASSES, ""), "create").buildSessionFactory().close();
        if (TOLD.get("TOOL_SPREAD").equals("1")) {
            try (Connection connection = DriverManager.getConnection(PLACE, TOLD.get("TOOL_USER"), TOLD.get("TOOL_PASSWORD")); Statement statement = connection.createStatement()) {
                for (String table : new String[] {"author DISTRIBUTE BY HASH(id)", "book DISTRIBUTE BY HASH(id)", "country DISTRIBUTE BY BROADCAST"}) {
                    statement.execute("ALTER TABLE " + table);
                }
            }
        }
        // A newer version of the program has one more column.
        SessionFactory factory = configuration(String.format(CLASSES, "<property name='stock'/>"), "update").buildSessionFactory();
        work(factory);
        factory.close();
    }

    static Book book(String title, int number) {
        Book book = new Book();
        book.setTitle(title);
        book.setPrice(new BigDecimal(number + ".25"));
        book.setCover(title.getBytes());
        book.setPrinted(Timestamp.valueOf("2024-02-0" + (1 + number % 9) + " 03:04:05"));
        book.setStock(number % 4);
        return book;
    }

    static void work(SessionFactory factory) {
        Session session = factory.openSession();
        Transaction transaction = session.beginTransaction();
        Country[] countries = new Country[2];
        for (int i = 0; i < 2; i++) {
            countries[i] = new Country();
            countries[i].setCode(i == 0 ? "CN" : "JP");
            countries[i].setName(i == 0 ? "中国" : "日本");
            session.save(countries[i]);
        }
        String[] names = {"Lu Xun", "魯迅", "Ōe", "Abe", "Ba Jin"};
        for (int n = 0; n < names.length; n++) {
            Author author = new Author();
            author.setName(names[n]);
            author.setCountry(countries[n % 2]);
            for (int i = 1; i <= 12; i++) author.getBooks().add(book(names[n] + " " + i, i));
            session.save(author);
        }
        transaction.commit();
        session.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        for (Object row : session.createQuery("select a.name, count(b), sum(b.price), max(b.printed) from HibernateDistributed$Author a join a.books b where b.stock > 0 group by a.name order by a.name").list()) {
            show((Object[]) row);
        }
        for (Object row : session.createQuery("select c.name, count(distinct a.id), avg(b.price) from HibernateDistributed$Author a join a.country c left join a.books b with b.price > 6 group by c.name having count(a.id) > 1 order by c.name desc").list()) {
            show((Object[]) row);
        }
        for (Object row : session.createQuery("select a.name, b.title from HibernateDistributed$Author a join a.books b where b.price = (select max(x.price) from HibernateDistributed$Book x where x.stock = b.stock) order by b.id").setFirstResult(1).setMaxResults(5).list()) {
            show((Object[]) row);
        }
        show(session.createQuery("select a.name from HibernateDistributed$Author a where exists (from HibernateDistributed$Book b where b in elements(a.books) and b.title like 'Abe%') or size(a.books) > 20 or a.country.code in ('JP') order by a.id").list());
        Criteria criteria = session.createCriteria(Book.class).add(Restrictions.between("price", new BigDecimal("3"), new BigDecimal("5"))).add(Restrictions.like("title", "%u%"));
        show(criteria.setProjection(Projections.projectionList().add(Projections.groupProperty("stock")).add(Projections.rowCount()).add(Projections.sum("price"))).addOrder(Order.asc("stock")).list().size());
        List<?> fetched = session.createQuery("select distinct a from HibernateDistributed$Author a left join fetch a.books join fetch a.country where a.name > 'B' order by a.id").list();
        for (Object author : fetched) show(((Author) author).getName(), ((Author) author).getBooks().size(), ((Author) author).getCountry().getName());
        Author second = (Author) session.createQuery("from HibernateDistributed$Author where name = :name").setString("name", "魯迅").uniqueResult();
        session.lock(second, LockMode.PESSIMISTIC_WRITE);
        second.getBooks().subList(2, 8).clear();
        second.getBooks().add(0, book("first", 100));
        transaction.commit();
        show(second.getVersion(), second.getBooks().size(), new String(second.getBooks().get(1).getCover()));
        session.close();

        // Two have read the same version.
        Session one = factory.openSession();
        Session other = factory.openSession();
        Author mine = (Author) one.get(Author.class, second.getId());
        Author theirs = (Author) other.get(Author.class, second.getId());
        transaction = one.beginTransaction();
        mine.setName("Zhou Shuren");
        transaction.commit();
        one.close();
        transaction = other.beginTransaction();
        theirs.setName("somebody");
        try {
            transaction.commit();
        } catch (HibernateException error) {
            show(error.getClass().getSimpleName());
            transaction.rollback();
        }
        other.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        show(session.createQuery("update HibernateDistributed$Book set price = price + 1, stock = null where title like 'Lu%'").executeUpdate());
        show((Object[]) session.createSQLQuery("SELECT COUNT(*), COUNT(stock), MIN(price), MAX(price) FROM book").uniqueResult());
        transaction.rollback();
        show((Object[]) session.createSQLQuery("SELECT COUNT(*), COUNT(stock), MIN(price), MAX(price) FROM book").uniqueResult());
        transaction = session.beginTransaction();
        show(session.createQuery("delete HibernateDistributed$Book where price > 12 and stock = 0").executeUpdate());
        ScrollableResults results = session.createQuery("select b.id, b.title from HibernateDistributed$Book b where b.stock = 3 order by b.id desc").scroll();
        for (int i = 0; i < 4 && results.next(); i++) show(results.get());
        results.close();
        transaction.commit();
        session.close();

        // Without a session's memory, in batches.
        StatelessSession stateless = factory.openStatelessSession();
        transaction = stateless.beginTransaction();
        for (int i = 0; i < 45; i++) stateless.insert(book("batch", i));
        transaction.commit();
        show((Object[]) stateless.createQuery("select count(*), min(b.id), max(b.id) from HibernateDistributed$Book b where b.title = 'batch'").uniqueResult());
        stateless.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        try {
            Country again = new Country();
            again.setCode("CN");
            session.save(again);
            session.flush();
        } catch (HibernateException error) {
            show(error.getClass().getSimpleName(), error.getCause().getMessage().replaceFirst("^\\(conn=\\d+\\) ", ""));
        }
        transaction.rollback();
        session.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        session.delete(session.get(Author.class, second.getId()));
        transaction.commit();
        for (Object row : session.createSQLQuery("SELECT a.id, a.version, a.name, a.country, COUNT(b.id), SUM(b.place) FROM author a LEFT JOIN book b ON b.author = a.id GROUP BY a.id, a.version, a.name, a.country ORDER BY a.id").list()) {
            show((Object[]) row);
        }
        session.close();
    }
}
