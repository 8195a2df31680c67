import { paint } from "./paint.js";

const LONGER_SIDE = 1024;
const canvas = document.querySelector("canvas");
const status = document.querySelector("[role=status]");

document.querySelector("input").addEventListener("change", async ({ target }) => {
    try {
        const photograph = await createImageBitmap(target.files[0]);
        const scale = Math.min(1, LONGER_SIDE / Math.max(photograph.width, photograph.height));
        canvas.width = Math.round(scale * photograph.width);
        canvas.height = Math.round(scale * photograph.height);
        canvas.hidden = false;
        const context = canvas.getContext("2d");
        context.drawImage(photograph, 0, 0, canvas.width, canvas.height);
        status.textContent = "Painting …";
        await new Promise(requestAnimationFrame); // the photograph is seen while it is painted
        const begun = performance.now();
        context.putImageData(await paint(context.getImageData(0, 0, canvas.width, canvas.height)), 0, 0);
        status.textContent = `Painted in ${((performance.now() - begun) / 1000).toFixed(1)} s`;
    } catch (error) {
        status.textContent = `That could not be painted: ${error.message}`;
    }
});
