/** Of least squares: how `name` grows with each request, of points {requests, [name]}. */
export function slope(points, name) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [points.map((each) => each.requests), points.map((each) => each[name])];
  const [centerX, centerY] = [mean(x), mean(y)];
  const covariance = mean(x.map((value, at) => (value - centerX) * (y[at] - centerY)));
  return covariance / mean(x.map((value) => (value - centerX) ** 2));
}
