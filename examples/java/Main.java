// Calls an action with a signed GET, with nothing but the JDK (11 or later):
//
//     java Main.java DescribeInstances PageSize=30
//
// Reads the access key and the endpoint from credentials.json of the data directory.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Main {
    public static void main(String[] arguments) throws Exception {
        String credentials = Files.readString(dataDirectory().resolve("credentials.json"));
        TreeMap<String, String> parameters = new TreeMap<>();
        parameters.put("Action", arguments[0]);
        parameters.put("Version", "2016-01-01");
        parameters.put("Format", "JSON");
        parameters.put("AccessKeyId", field(credentials, "access_key_id"));
        parameters.put("SignatureMethod", "HMAC-SHA1");
        parameters.put("SignatureVersion", "1.0");
        parameters.put("SignatureNonce", UUID.randomUUID().toString());
        parameters.put("Timestamp", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        for (int i = 1; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            parameters.put(pair[0], pair[1]);
        }
        String signature = sign("GET", parameters, field(credentials, "access_key_secret"));
        URI url = URI.create(field(credentials, "https_endpoint") + "/?" + query(parameters)
                + "&Signature=" + encode(signature));

        HttpClient client = HttpClient.newBuilder()
                .sslContext(trust(Path.of(field(credentials, "ca_file"))))
                .build();
        HttpResponse<String> answer = client.send(
                HttpRequest.newBuilder(url).build(), HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.body());
        System.exit(answer.statusCode() == 200 ? 0 : 1);
    }

    /** Signature version 1: HMAC-SHA1 over the method and the sorted parameters. */
    static String sign(String method, TreeMap<String, String> parameters, String secret)
            throws Exception {
        String text = method + "&%2F&" + encode(query(parameters));
        Mac mac = Mac.getInstance("HmacSHA1");
        mac.init(new SecretKeySpec((secret + "&").getBytes(UTF_8), "HmacSHA1"));
        return Base64.getEncoder().encodeToString(mac.doFinal(text.getBytes(UTF_8)));
    }

    static String query(Map<String, String> parameters) {
        return parameters.entrySet().stream()
                .map(pair -> encode(pair.getKey()) + "=" + encode(pair.getValue()))
                .collect(Collectors.joining("&"));
    }

    static String encode(String text) {
        return URLEncoder.encode(text, UTF_8)
                .replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    /** The service's certificate is signed by its own CA. */
    static SSLContext trust(Path caFile) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null);
        try (InputStream file = Files.newInputStream(caFile)) {
            trusted.setCertificateEntry(
                    "ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory managers =
                TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context;
    }

    static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\\s*\"([^\"]*)\"").matcher(json);
        if (!found.find()) {
            throw new IllegalStateException("credentials.json has no " + name);
        }
        return found.group(1);
    }

    static Path dataDirectory() {
        Map<String, String> environment = System.getenv();
        String home = environment.getOrDefault(
                "XDG_DATA_HOME", System.getProperty("user.home") + "/.local/share");
        return Path.of(environment.getOrDefault("OPENPETA_DATA_DIR", home + "/openpeta"));
    }
}
