// What Hibernate is told in each of the tests that use it: where the database is comes from the environment.

import java.util.Arrays;
import java.util.Map;
import org.hibernate.cfg.Configuration;

class HibernateSettings {
    static final Map<String, String> TOLD = System.getenv();
    static final String PLACE = "jdbc:mariadb://" + TOLD.get("TOOL_HOST") + ":" + TOLD.get("TOOL_PORT") + "/" + TOLD.get("TOOL_DATABASE");

    // `classes` are the mappings, `tables` what is done with the tables at the start.
    static Configuration configuration(String classes, String tables) {
        Configuration configuration = new Configuration();
        configuration.setProperty("hibernate.connection.driver_class", "org.mariadb.jdbc.Driver");
        configuration.setProperty("hibernate.connection.url", PLACE);
        configuration.setProperty("hibernate.connection.username", TOLD.get("TOOL_USER"));
        configuration.setProperty("hibernate.connection.password", TOLD.get("TOOL_PASSWORD"));
        configuration.setProperty("hibernate.dialect", "org.hibernate.dialect.MySQL5InnoDBDialect");
        configuration.setProperty("hibernate.hbm2ddl.auto", tables);
        configuration.setProperty("hibernate.jdbc.batch_size", "20");
        configuration.setProperty("javax.persistence.validation.mode", "none");
        configuration.addXML("<?xml version='1.0'?>"
            + "<!DOCTYPE hibernate-mapping PUBLIC '-//Hibernate/Hibernate Mapping DTD 3.0//EN' 'http://www.hibernate.org/dtd/hibernate-mapping-3.0.dtd'>"
            + "<hibernate-mapping>" + classes + "</hibernate-mapping>");
        return configuration;
    }

    static void show(Object... what) { System.out.println(Arrays.deepToString(what)); }
}
