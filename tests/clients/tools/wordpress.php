<?php
// WordPress of Debian, as it is: `install` makes its tables by its own installer, `work` does what users, visitors, plugins and an
// upgrade do. TOOL_SPREAD says whether the database has several nodes; then its tables are distributed in between, with what is in them.

$_SERVER += ['HTTP_HOST' => 'blog.example', 'REQUEST_URI' => '/', 'REMOTE_ADDR' => '192.0.2.1', 'SERVER_PROTOCOL' => 'HTTP/1.1', 'REQUEST_METHOD' => 'GET'];
$mode = $argv[1];
$content = $argv[2];

// What its wp-config.php says.
define('ABSPATH', '/usr/share/wordpress/');
define('DB_HOST', getenv('TOOL_HOST') . ':' . getenv('TOOL_PORT'));
define('DB_NAME', getenv('TOOL_DATABASE'));
define('DB_USER', getenv('TOOL_USER'));
define('DB_PASSWORD', getenv('TOOL_PASSWORD'));
define('DB_CHARSET', 'utf8mb4');
define('WP_CONTENT_DIR', $content);
define('WP_PLUGIN_DIR', '/usr/share/wordpress/wp-content/plugins');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('WP_DEBUG', true);
define('WP_DEBUG_DISPLAY', true);
$table_prefix = 'wp_';
if ($mode !== 'work') {
    define('WP_INSTALLING', true);
}
if ($mode === 'upgrade') {
    define('WP_ADMIN', true);
}
function wp_mail() { return true; }
require ABSPATH . 'wp-settings.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

function show(...$what) { echo json_encode($what, JSON_UNESCAPED_UNICODE | JSON_PARTIAL_OUTPUT_ON_ERROR), "\n"; }

// Each statement that failed, as a page would show it.
register_shutdown_function(function () {
    global $EZSQL_ERROR, $wpdb;
    foreach ($EZSQL_ERROR ?? [] as $error) {
        show('failed', preg_replace('/\s+/', ' ', substr($error['query'], 0, 300)), $error['error_str']);
    }
    show('statements', $wpdb->num_queries > 10);
});
$wpdb->hide_errors();

// Names of what a query found, and how many pages of it there are.
function found(array $wanted) {
    $query = new WP_Query($wanted + ['posts_per_page' => 5, 'post_type' => 'post', 'ignore_sticky_posts' => true]);
    show($query->found_posts, $query->max_num_pages, array_map(fn ($post) => [$post->ID, $post->post_name], $query->posts));
}

function rest(string $method, string $path, array $parameters = []) {
    $request = new WP_REST_Request($method, $path);
    foreach ($parameters as $name => $value) $request->set_param($name, $value);
    $answer = rest_do_request($request);
    $data = $answer->get_data();
    $one = fn ($item) => is_array($item) ? array_intersect_key($item, array_flip(['id', 'slug', 'name', 'status', 'count', 'post', 'code', 'message', 'parent'])) : $item;
    show($method, $path, $answer->get_status(), array_intersect_key($answer->get_headers(), ['X-WP-Total' => 1, 'X-WP-TotalPages' => 1]), isset($data['id']) || isset($data['code']) ? $one($data) : array_map($one, (array) $data));
    return $data;
}

if ($mode === 'install') {
    show(wp_install('Ein Blog', 'admin', 'admin@blog.example', true, '', 'secret')['user_id']);
    show($wpdb->get_col('SHOW TABLES'), get_option('blogname'), wp_count_posts()->publish);
    foreach (['posts' => 'HASH(ID)', 'postmeta' => 'HASH(meta_id)', 'comments' => 'HASH(comment_ID)', 'commentmeta' => 'HASH(meta_id)', 'users' => 'HASH(ID)',
        'usermeta' => 'HASH(umeta_id)', 'terms' => 'HASH(term_id)', 'termmeta' => 'HASH(meta_id)', 'term_relationships' => 'HASH(object_id)',
        'term_taxonomy' => 'BROADCAST', 'options' => 'BROADCAST'] as $table => $clause) {
        if (getenv('TOOL_SPREAD')) $wpdb->query("ALTER TABLE {$wpdb->prefix}$table DISTRIBUTE BY $clause");
    }
    exit;
}
if ($mode === 'upgrade') {
    // Tables of an older version: indexes and columns are put where they are missing.
    $wpdb->query("ALTER TABLE $wpdb->posts DROP INDEX post_author");
    $wpdb->query("ALTER TABLE $wpdb->comments DROP INDEX comment_author_email");
    $wpdb->query("ALTER TABLE $wpdb->options DROP INDEX autoload");
    $wpdb->query("ALTER TABLE $wpdb->usermeta MODIFY meta_key varchar(200) default NULL");
    update_option('db_version', 25824);
    wp_cache_flush();
    show(array_values(dbDelta('all', false)));
    wp_upgrade();
    show(array_values(dbDelta('all', false)), get_option('db_version'));
    foreach ($wpdb->tables() as $table) {
        $keys = $wpdb->get_results("SHOW INDEX FROM $table", ARRAY_A);
        show($table, $wpdb->get_results("SHOW FULL COLUMNS FROM $table", ARRAY_N), array_map(fn ($key) => [$key['Key_name'], $key['Column_name'], $key['Sub_part'], $key['Non_unique']], $keys));
        show($wpdb->get_var("SELECT COUNT(*) FROM $table"));
    }
    exit;
}

wp_set_current_user(1);
// Users.
$users = [1];
foreach (['editor', 'author', 'subscriber', 'subscriber'] as $n => $role) {
    $users[] = wp_insert_user(['user_login' => "user$n", 'user_email' => "user$n@blog.example", 'user_pass' => "pass$n", 'display_name' => "用户 $n", 'role' => $role]);
    update_user_meta(end($users), 'age', 20 + $n * 3);
}
show($users, wp_insert_user(['user_login' => 'user1', 'user_pass' => 'x'])->get_error_code(), email_exists('user3@blog.example'), username_exists('nobody'));
show(count_users(), wp_authenticate('user2', 'pass2')->ID, wp_authenticate('user2', 'wrong')->get_error_code());
foreach ([['role' => 'subscriber', 'orderby' => 'login', 'order' => 'DESC', 'number' => 2], ['search' => '*user*', 'number' => 3, 'paged' => 2, 'orderby' => 'ID'], ['meta_key' => 'age', 'meta_value' => 23, 'meta_compare' => '>', 'orderby' => 'meta_value_num'],
    ['role__in' => ['author', 'editor'], 'orderby' => 'registered ID'], ['capability' => 'edit_posts', 'orderby' => 'ID']] as $wanted) {
    $query = new WP_User_Query($wanted);
    show($query->get_total(), array_map(fn ($user) => $user->user_login, $query->get_results()));
}

// Categories and tags.
$categories = [];
foreach (['News', 'Reisen', 'Küche', '文学'] as $n => $name) {
    $categories[] = wp_insert_term($name, 'category', ['parent' => $n > 1 ? $categories[0] : 0, 'description' => "all about $name"])['term_id'];
}
show($categories, wp_insert_term('News', 'category')->get_error_code(), get_term_by('slug', 'reisen', 'category')->term_taxonomy_id);
update_term_meta($categories[1], 'color', 'green');
wp_update_term($categories[2], 'category', ['name' => 'Kochen', 'slug' => 'kochen', 'parent' => $categories[1]]);

// Posts, of which some have the same title.
$posts = [];
for ($n = 0; $n < 16; $n++) {
    $posts[] = wp_insert_post([
        'post_title' => 'Titel ' . $n % 7, 'post_content' => "Absatz $n. " . ($n % 3 ? 'Hund' : 'Katze') . ' und Maus 墨水', 'post_author' => $users[$n % 3], 'post_status' => ['publish', 'publish', 'publish', 'draft', 'private'][$n % 5],
        'post_date' => sprintf('2024-%02d-%02d 10:%02d:00', 1 + $n % 11, 1 + $n % 28, $n), 'post_category' => [$categories[$n % 4]], 'tags_input' => ['tag' . $n % 5, 'all'],
        'meta_input' => ['price' => $n * 3 % 17, 'color' => ['red', 'blue'][$n % 2]] + ($n % 4 ? [] : ['rare' => 'yes']),
    ], true);
}
show($posts, array_map(fn ($id) => get_post($id)->post_name, array_slice($posts, 0, 25)));
stick_post($posts[5]);
for ($n = 0; $n < 3; $n++) wp_update_post(['ID' => $posts[$n], 'post_title' => "Neuer Titel $n", 'post_content' => str_repeat("Wort $n ", 500)]);
show(count(wp_get_post_revisions($posts[0])), get_post($posts[1])->post_title, wp_restore_post_revision(array_key_last(wp_get_post_revisions($posts[2]))));
wp_trash_post($posts[6]);
wp_trash_post($posts[7]);
wp_untrash_post($posts[7]);
wp_delete_post($posts[8], true);
add_post_meta($posts[9], 'list', 'one');
add_post_meta($posts[9], 'list', 'two');
update_post_meta($posts[9], 'list', 'three', 'one');
delete_post_meta($posts[10], 'color');
show(get_post_meta($posts[9]), metadata_exists('post', $posts[10], 'color'), delete_post_meta_by_key('rare'), (array) wp_count_posts(), (array) wp_count_posts('revision'));
$page = wp_insert_post(['post_type' => 'page', 'post_title' => 'Seite', 'post_status' => 'publish', 'post_content' => 'x']);
$child = wp_insert_post(['post_type' => 'page', 'post_title' => 'Unterseite', 'post_status' => 'publish', 'post_parent' => $page, 'menu_order' => 3]);
show(get_page_by_path('seite/unterseite')->ID, array_map(fn ($it) => $it->post_name, get_pages(['sort_column' => 'menu_order,post_title'])), get_page_by_title('Seite')->ID);
$picture = wp_insert_attachment(['post_mime_type' => 'image/png', 'post_title' => 'Bild', 'post_status' => 'inherit', 'post_content' => ''], 'bild.png', $posts[3]);
set_post_thumbnail($posts[3], $picture);
show((array) wp_count_attachments(), attachment_url_to_postid(wp_get_attachment_url($picture)), get_available_post_mime_types());
$menu = wp_create_nav_menu('Haupt');
foreach ([$page, $child] as $item) wp_update_nav_menu_item($menu, 0, ['menu-item-object-id' => $item, 'menu-item-object' => 'page', 'menu-item-type' => 'post_type', 'menu-item-status' => 'publish']);
show(array_map(fn ($it) => [$it->title, $it->menu_order], wp_get_nav_menu_items($menu)));

// What visitors ask for.
foreach ([
    [], ['paged' => 3], ['s' => 'Hund'], ['s' => 'Titel 3 Maus', 'orderby' => 'title ID', 'order' => 'ASC'], ['s' => 'Katze -Titel'], ['cat' => $categories[0]], ['category__and' => [$categories[1]], 'tag' => 'all'],
    ['tag_slug__and' => ['tag1', 'all']], ['category__not_in' => [$categories[3]], 'author' => $users[1]], ['author__not_in' => [1], 'orderby' => 'author ID'],
    ['meta_key' => 'price', 'orderby' => ['meta_value_num' => 'ASC', 'ID' => 'DESC']], ['meta_query' => [['key' => 'price', 'value' => [4, 9], 'compare' => 'BETWEEN', 'type' => 'NUMERIC']]],
    ['meta_query' => ['relation' => 'OR', ['key' => 'rare', 'compare' => 'NOT EXISTS'], ['key' => 'color', 'value' => 'red']]], ['meta_query' => ['relation' => 'AND', 'p' => ['key' => 'price', 'type' => 'NUMERIC'], 'c' => ['key' => 'color', 'compare' => 'EXISTS']], 'orderby' => ['c' => 'ASC', 'p' => 'DESC', 'ID' => 'ASC']],
    ['tax_query' => ['relation' => 'OR', ['taxonomy' => 'category', 'field' => 'slug', 'terms' => ['news'], 'include_children' => true], ['taxonomy' => 'post_tag', 'field' => 'name', 'terms' => ['tag3']]]],
    ['tax_query' => [['taxonomy' => 'post_tag', 'field' => 'slug', 'terms' => ['tag0', 'tag1'], 'operator' => 'NOT IN']]], ['date_query' => [['after' => '2024-03-01', 'before' => ['year' => 2024, 'month' => 6]]]], ['year' => 2024, 'monthnum' => 4], ['hour' => 10, 'minute' => 12],
    ['post_status' => 'any', 'post_type' => 'any', 'orderby' => 'type ID'], ['post_status' => ['draft', 'private'], 'orderby' => 'modified ID'], ['name' => 'titel-2-2'], ['p' => $posts[11]], ['post__in' => array_slice($posts, 5, 9), 'orderby' => 'post__in'], ['orderby' => 'comment_count ID', 'offset' => 7],
    ['post_parent' => $posts[3], 'post_type' => 'attachment', 'post_status' => 'inherit'], ['fields' => 'id=>parent', 'no_found_rows' => true], ['has_password' => false, 'comment_count' => ['value' => 0, 'compare' => '=']],
] as $wanted) found($wanted);
show(count((new WP_Query(['posts_per_page' => -1, 'fields' => 'ids']))->posts), wp_get_archives(['type' => 'monthly', 'echo' => false, 'show_post_count' => true]), wp_get_archives(['type' => 'yearly', 'echo' => false]), wp_get_archives(['type' => 'weekly', 'echo' => false]));
$GLOBALS['post'] = get_post($posts[12]);
show(get_previous_post()->post_name, get_next_post()->post_name, get_next_post(true)->post_name ?? null, get_boundary_post()[0]->post_name, get_lastpostdate('blog') > '2024-11', md5(get_calendar(true, false)));
foreach ([['taxonomy' => 'category'], ['taxonomy' => 'post_tag', 'orderby' => 'count', 'order' => 'DESC', 'number' => 3], ['taxonomy' => ['category', 'post_tag'], 'hide_empty' => false, 'search' => 'a'], ['object_ids' => [$posts[1], $posts[2]], 'orderby' => 'name'], ['taxonomy' => 'category', 'meta_key' => 'color', 'hide_empty' => false], ['taxonomy' => 'category', 'childless' => true, 'pad_counts' => true, 'hide_empty' => false]] as $wanted) {
    show(array_map(fn ($term) => [$term->term_id, $term->slug, $term->count], array_values(get_terms($wanted))));
}
show(wp_count_terms(['taxonomy' => 'post_tag']), md5(wp_tag_cloud(['echo' => false])), wp_list_categories(['echo' => false, 'show_count' => true, 'title_li' => '']), wp_delete_term($categories[3], 'category'), get_objects_in_term($categories[0], 'category'));

// Comments.
add_filter('comment_flood_filter', '__return_false');
$comments = [];
for ($n = 0; $n < 10; $n++) {
    $comments[] = wp_new_comment(['comment_post_ID' => $posts[$n % 5], 'comment_author' => "Gast $n", 'comment_author_email' => 'gast' . $n % 6 . '@x.example', 'comment_author_url' => '', 'comment_content' => "Kommentar $n", 'comment_type' => 'comment', 'comment_parent' => $n > 5 ? $comments[$n - 6] : 0, 'user_id' => $n % 3 ? 0 : $users[1]], true);
}
show($comments, wp_new_comment(['comment_post_ID' => $posts[0], 'comment_author' => 'Gast 0', 'comment_author_email' => 'gast0@x.example', 'comment_author_url' => '', 'comment_content' => 'Kommentar 0', 'comment_type' => 'comment', 'comment_parent' => 0, 'user_id' => 0], true)->get_error_code());
for ($n = 0; $n < 10; $n += 2) wp_set_comment_status($comments[$n], $n % 3 ? 'approve' : 'hold');
wp_spam_comment($comments[3]);
wp_trash_comment($comments[4]);
wp_untrash_comment($comments[4]);
wp_delete_comment($comments[5], true);
add_comment_meta($comments[6], 'stars', 4);
wp_update_comment(['comment_ID' => $comments[6], 'comment_content' => 'anders 墨水']);
show((array) wp_count_comments(), (array) get_comment_count($posts[1]), get_post($posts[0])->comment_count, get_pending_comments_num($posts), get_lastcommentmodified('gmt') > '2024');
foreach ([['post_id' => $posts[0], 'hierarchical' => 'threaded', 'orderby' => 'comment_ID', 'order' => 'ASC'], ['number' => 4, 'paged' => 2, 'no_found_rows' => false, 'orderby' => 'comment_ID'], ['search' => 'gast 1', 'orderby' => 'comment_ID'], ['meta_key' => 'stars'], ['author_email' => 'gast2@x.example', 'count' => true], ['status' => 'spam'], ['post_author' => $users[1], 'orderby' => 'comment_ID', 'number' => 3], ['user_id' => $users[1], 'type' => 'comment', 'count' => true],
    ['post_status' => 'publish', 'include_unapproved' => ['gast0@x.example'], 'status' => 'approve', 'orderby' => ['comment_post_ID', 'comment_ID']], ['orderby' => 'comment_author', 'order' => 'ASC', 'parent__in' => [$comments[0], $comments[1]]]] as $wanted) {
    $query = new WP_Comment_Query();
    $got = $query->query($wanted);
    show($query->found_comments, $query->max_num_pages, is_array($got) ? array_map(fn ($it) => [$it->comment_ID, $it->comment_author], array_values($got)) : $got);
}

// Options and what expires.
update_option('mine', ['a' => [1, 2], 'b' => '墨水']);
add_option('mine', 'no');
add_option('other', 'yes', '', 'no');
update_option('other', 'no');
delete_option('nothing');
set_transient('kept', 'here', 3600);
set_transient('gone', 'away', 3600);
set_site_transient('gone too', 'away', 3600);
$wpdb->query("UPDATE $wpdb->options SET option_value = 1000 WHERE option_name IN ('_transient_timeout_gone', '_site_transient_timeout_gone too')");
wp_cache_flush();
delete_expired_transients(true);
show(get_option('mine'), get_option('other'), get_transient('kept'), get_transient('gone'), $wpdb->get_col("SELECT option_name FROM $wpdb->options WHERE option_name LIKE '%gone%' ORDER BY 1"));

// A plugin with a table of its own, and the one that comes along.
$table = "CREATE TABLE {$wpdb->prefix}visits (\n  id bigint(20) unsigned NOT NULL AUTO_INCREMENT,\n  visitor bigint(20) NOT NULL,\n  page varchar(100) NOT NULL DEFAULT '',\n  at datetime NOT NULL DEFAULT '0000-00-00 00:00:00',\n  PRIMARY KEY  (id,visitor),\n  KEY page (page)\n) {$wpdb->get_charset_collate()}";
show(dbDelta("$table;"), dbDelta("$table;"));
if (getenv('TOOL_SPREAD')) $wpdb->query("ALTER TABLE {$wpdb->prefix}visits DISTRIBUTE BY HASH(visitor)");
show(dbDelta(str_replace('  PRIMARY', "  seconds int(11) NOT NULL DEFAULT 0,\n  KEY at (at),\n  PRIMARY", $table) . ';'));
for ($n = 0; $n < 12; $n++) show($wpdb->insert("{$wpdb->prefix}visits", ['visitor' => $n % 6, 'page' => '/' . $n % 4, 'at' => "2024-01-01 00:00:$n", 'seconds' => $n]), $wpdb->insert_id);
show($wpdb->update("{$wpdb->prefix}visits", ['page' => '/neu'], ['visitor' => 3]), $wpdb->update("{$wpdb->prefix}visits", ['page' => '/0'], ['page' => '/neu']), $wpdb->replace("{$wpdb->prefix}visits", ['id' => 2, 'visitor' => 1, 'page' => '/ersetzt']), $wpdb->delete("{$wpdb->prefix}visits", ['page' => '/2']));
show($wpdb->get_results($wpdb->prepare("SELECT v.page, COUNT(*) AS n, SUM(seconds) AS s, MAX(u.user_login) AS who FROM {$wpdb->prefix}visits v LEFT JOIN $wpdb->users u ON u.ID = v.visitor WHERE v.page LIKE %s GROUP BY v.page ORDER BY n DESC, v.page", '/%')));
show($wpdb->get_results("SELECT p.ID, p.post_name, (SELECT meta_value FROM $wpdb->postmeta m WHERE m.post_id = p.ID AND m.meta_key = 'price' LIMIT 1) AS price, COUNT(DISTINCT c.comment_ID) AS comments FROM $wpdb->posts p INNER JOIN $wpdb->comments c ON c.comment_post_ID = p.ID AND c.comment_approved = '1' WHERE p.post_status = 'publish' GROUP BY p.ID ORDER BY comments DESC, p.ID LIMIT 4"));
show(activate_plugin('akismet/akismet.php'), is_plugin_active('akismet/akismet.php'), $wpdb->query("UPDATE $wpdb->comments SET comment_date_gmt = '2020-01-01 00:00:00' WHERE comment_approved = 'spam'"));
Akismet::delete_old_comments();
Akismet::delete_old_comments_meta();
Akismet::delete_orphaned_commentmeta();
show((array) wp_count_comments(), $wpdb->get_var("SELECT COUNT(*) FROM $wpdb->commentmeta"));

// Programs that use its interface, and the pages of its administration.
rest('GET', '/wp/v2/posts', ['per_page' => 3, 'search' => 'Hund', 'orderby' => 'relevance']);
$new = rest('POST', '/wp/v2/posts', ['title' => 'Über REST', 'status' => 'publish', 'categories' => [$categories[0]], 'content' => 'Hallo']);
rest('POST', "/wp/v2/posts/{$new['id']}", ['title' => 'Noch einmal', 'sticky' => true]);
rest('GET', "/wp/v2/posts/{$new['id']}/revisions");
rest('POST', '/wp/v2/comments', ['post' => $new['id'], 'content' => 'Aha', 'author_name' => 'x', 'author_email' => 'x@x.example']);
rest('GET', '/wp/v2/comments', ['post' => $posts[0], 'per_page' => 3, 'orderby' => 'id']);
rest('GET', '/wp/v2/users', ['orderby' => 'name', 'per_page' => 4, 'context' => 'edit']);
rest('GET', '/wp/v2/categories', ['hide_empty' => true, 'orderby' => 'id', 'order' => 'desc', 'per_page' => 2]);
rest('GET', '/wp/v2/search', ['search' => 'Titel', 'per_page' => 2]);
rest('GET', '/wp/v2/media');
rest('DELETE', "/wp/v2/posts/{$new['id']}", ['force' => true]);
rest('GET', "/wp/v2/posts/{$new['id']}");
set_current_screen('edit-post');
foreach (['WP_Posts_List_Table' => 'edit-post', 'WP_Comments_List_Table' => 'edit-comments', 'WP_Users_List_Table' => 'users', 'WP_Terms_List_Table' => 'edit-category', 'WP_Media_List_Table' => 'upload'] as $class => $screen) {
    $GLOBALS['typenow'] = $GLOBALS['post_type'] = $class === 'WP_Media_List_Table' ? 'attachment' : 'post';
    $GLOBALS['taxonomy'] = 'category';
    set_current_screen($screen);
    $list = _get_list_table($class, ['screen' => $screen]);
    $list->prepare_items();
    ob_start();
    $list->display();
    $text = preg_replace(['/<[^>]*>/', '/\s+/', '/\d+ (secs?|mins?|seconds?) ago/'], [' ', ' ', ''], preg_replace('/<script.*?<\/script>|_wpnonce=\w+|value="\w{10}"/s', '', ob_get_clean()));
    show($class, $list->get_pagination_arg('total_items'), substr_count($text, 'Titel'), substr_count($text, 'Gast'), substr_count($text, '用户'));
}
require_once ABSPATH . 'wp-admin/includes/export.php';
ob_start();
@export_wp(['content' => 'all']);
show(substr_count($export = ob_get_clean(), '<item>'), substr_count($export, '<wp:comment>'), substr_count($export, '<wp:postmeta>'), substr_count($export, '<wp:author>'));

// Who leaves, and what becomes of his posts.
show(wp_delete_user($users[2], $users[1]), wp_delete_user($users[4]), count_user_posts($users[1]), count_many_users_posts($users));
for ($n = 14; $n < 16; $n++) wp_delete_post($posts[$n], true);
foreach ([$wpdb->posts => 'ID, post_author, post_title, post_status, post_name, post_parent, post_type, comment_count', $wpdb->postmeta => 'meta_id, post_id, meta_key', $wpdb->comments => 'comment_ID, comment_post_ID, comment_approved, comment_parent, user_id', $wpdb->term_relationships => '*', $wpdb->term_taxonomy => '*', $wpdb->terms => '*', $wpdb->usermeta => 'umeta_id, user_id, meta_key', $wpdb->options => 'option_id, option_name'] as $table => $columns) {
    $rows = $wpdb->get_results("SELECT $columns FROM $table ORDER BY 1, 2", ARRAY_N);
    show($table, count($rows), $rows);
}
