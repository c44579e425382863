/* Loss surfaces in the page: what the three models do, and a picture for each measure and weight domain, two beside each other
 * where there is room. */
#include "base/file.h"
#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

crumb_status crumb_report_take_surface(crumb_report *report, const char *folder, bool *found) {
    char path[4096 + 32];
    *found = false;
    if (snprintf(path, sizeof(path), "%s/surface.json", folder) >= (int)sizeof(path) || !crumb_file_exists(path)) {
        return CRUMB_OK;
    }
    crumb_status status = crumb_surface_read(report->ctx, path, &report->surface[report->surfaces]);
    *found = status == CRUMB_OK;
    report->surfaces += status == CRUMB_OK;
    if (status != CRUMB_OK && status != CRUMB_ERROR_MEMORY) {
        crumb_text_print(&report->notes, "%s\n", crumb_message(report->ctx));
        return CRUMB_OK;
    }
    return status;
}

static void print_models(crumb_page *page, const crumb_surface_view *view) {
    crumb_text_print(&page->html,
                     "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Models\"><table><thead><tr>"
                     "<th scope=\"col\">Model</th>");
    for (int d = 0; d < view->domains; d++) {
        for (int row = 0; row < CRUMB_VIEW_ROWS; row++) {
            crumb_text_print(&page->html, "<th scope=\"col\">%s<br/><small>%s weights</small></th>", crumb_surface_row(row),
                             crumb_surface_domain(view, d));
        }
    }
    crumb_text_print(&page->html, "</tr></thead><tbody>\n");
    for (int m = 0; m < CRUMB_VIEW_MODELS; m++) {
        crumb_text_print(&page->html, "<tr><th scope=\"row\">");
        crumb_page_text(page, view->model[m].name);
        crumb_text_print(&page->html, "</th>");
        for (int d = 0; d < view->domains; d++) {
            crumb_page_number(page, view->model[m].value[0][d], 4);
            crumb_page_number(page, view->model[m].value[1][d], 2);
        }
        crumb_text_print(&page->html, "</tr>\n");
    }
    crumb_text_print(&page->html, "</tbody></table></div>\n");
}

static crumb_status draw(crumb_page *page, const crumb_surface_view *view) {
    for (int row = 0; row < CRUMB_VIEW_ROWS; row++) {
        for (int d = 0; d < view->domains; d++) {
            char caption[96];
            crumb_plot plot = {0};
            CRUMB_TRY(crumb_surface_plot(view, row, d, &plot));
            snprintf(caption, sizeof(caption), "%s <small>%s weights</small>", crumb_surface_row(row),
                     crumb_surface_domain(view, d));
            crumb_status status = crumb_page_picture(page, &plot, caption);
            crumb_free(page->ctx, (char *)plot.script);
            CRUMB_TRY(status);
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_section_surfaces(crumb_page *page) {
    for (int i = 0; i < page->report->surfaces; i++) {
        const crumb_surface_view *view = page->report->surface[i];
        crumb_text_print(&page->html, "<section><h2>Loss surface</h2>\n<p class=\"lead\">");
        crumb_page_text(page, view->path);
        crumb_text_print(&page->html, ": the plane through three models, %d \xc3\x97 %d points.", view->grid, view->grid);
        if (isfinite(view->train_images) && isfinite(view->test_images)) {
            crumb_text_print(&page->html, " A point is %.0f training and %.0f test images", view->train_images,
                             view->test_images);
            crumb_text_print(&page->html, view->domains > 1 ? ", with its weights quantized or as they are, and" : ", with");
            crumb_text_print(&page->html, " batch-norm statistics of its own.");
        }
        crumb_text_print(&page->html, "</p>\n");
        print_models(page, view);
        crumb_text_print(&page->html, "<div class=\"figures pairs\">\n");
        CRUMB_TRY(draw(page, view));
        crumb_text_print(&page->html, "</div></section>\n");
    }
    return page->html.status;
}
